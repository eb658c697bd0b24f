/** What tests and the benchmark use of PouchDB; the published types redefine Node's Buffer. */
declare module 'pouchdb' {
  export interface PouchDocument {
    readonly _id: string;
    readonly _rev: string;
    readonly _deleted?: boolean;
    readonly _conflicts?: readonly string[];
    readonly _attachments?: Readonly<Record<string, { digest: string; content_type: string; data?: string }>>;
    readonly [member: string]: unknown;
  }

  export interface ReplicationResult {
    readonly ok: boolean;
    readonly docs_read: number;
    readonly docs_written: number;
    readonly doc_write_failures: number;
    readonly last_seq: string | number;
  }

  export interface Replication extends Promise<ReplicationResult> {
    on(event: string, listener: (information: unknown) => void): this;
    cancel(): void;
  }

  export interface Written {
    readonly ok: boolean;
    readonly id: string;
    readonly rev: string;
  }

  interface Feed {
    on(event: string, listener: (information: never) => void): this;
    cancel(): void;
  }

  export default class PouchDB {
    constructor(name: string, options?: Record<string, unknown>);
    /** How it sends its requests, unless an instance is given another `fetch`. */
    static fetch(url: string, options?: { readonly method?: string }): Promise<unknown>;
    static plugin(plugin: unknown): typeof PouchDB;
    static defaults(options: Record<string, unknown>): typeof PouchDB;
    static sync(source: PouchDB | string, target: PouchDB | string, options?: object): Replication;
    static replicate(source: PouchDB | string, target: PouchDB | string, options?: object): Replication;
    readonly replicate: {
      to(target: PouchDB | string, options?: object): Replication;
      from(source: PouchDB | string, options?: object): Replication;
    };
    sync(other: PouchDB | string, options?: object): Replication;
    put(document: object, options?: object): Promise<Written>;
    post(document: object): Promise<Written>;
    get(id: string, options?: object): Promise<PouchDocument>;
    remove(id: string, revision: string): Promise<Written>;
    bulkDocs(
      documents: readonly object[],
      options?: object,
    ): Promise<readonly (Written | { error: string })[]>;
    bulkGet(options: object): Promise<{ results: readonly { id: string; docs: readonly object[] }[] }>;
    allDocs(options?: object): Promise<{
      total_rows: number;
      rows: readonly {
        id: string;
        key: string;
        error?: string;
        value: { rev: string; deleted?: boolean };
        doc?: PouchDocument;
      }[];
    }>;
    changes(
      options: object,
    ): Feed & Promise<{ results: readonly { id: string; deleted?: boolean }[]; last_seq: string | number }>;
    putAttachment(id: string, name: string, revision: string, data: Buffer, type: string): Promise<Written>;
    getAttachment(id: string, name: string): Promise<Buffer>;
    removeAttachment(id: string, name: string, revision: string): Promise<Written>;
    revsDiff(request: object): Promise<Record<string, { missing: readonly string[] }>>;
    info(): Promise<{ doc_count: number; update_seq: string | number; db_name: string }>;
    compact(): Promise<unknown>;
    close(): Promise<void>;
    destroy(): Promise<unknown>;
  }
}

declare module 'pouchdb-adapter-memory' {
  const plugin: unknown;
  export default plugin;
}
