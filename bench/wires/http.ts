import { type Address, HttpConnection, requestText } from '../http-connection.ts';
import type { Wire } from './wire.ts';

export const groupDatabase = 'bench';

export async function openTercetWire(address: Address): Promise<Wire> {
  const send = sender(await HttpConnection.open(address, true));
  return {
    put: (key, value) => send.request(requestText('PUT', `/${groupDatabase}/${key}`, value)),
    get: (key) => send.request(requestText('GET', `/${groupDatabase}/${key}`)),
    close: send.close,
  };
}

/** etcd's gateway turns JSON with base64 into its gRPC. */
export async function openGatewayWire(address: Address): Promise<Wire> {
  const send = sender(await HttpConnection.open(address, true));
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return {
    put: (key, value) => {
      const body = `{"key":"${base64(key)}","value":"${base64(value)}"}`;
      return send.request(requestText('POST', '/v3/kv/put', body));
    },
    get: (key) => send.request(requestText('POST', '/v3/kv/range', `{"key":"${base64(key)}"}`), 'value'),
    close: send.close,
  };
}

/** An answer without a value is much shorter than any of the documents. */
const valueBytesMin = 256;

function sender(connection: HttpConnection) {
  return {
    request: async (request: string, wanted: 'success' | 'value' = 'success'): Promise<void> => {
      const { status, bodyBytes, body } = await connection.send(request);
      if (status >= 300)
        throw new Error(`${request.slice(0, request.indexOf('\r\n'))} was answered ${status}: ${body}`);
      if (wanted === 'value' && bodyBytes < valueBytesMin) throw new Error('a value is missing');
    },
    close: () => connection.close(),
  };
}
