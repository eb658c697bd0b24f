import { expect, test } from 'vitest';
import { sessionCookies } from './session-cookie.ts';

const cookies = sessionCookies(Buffer.from('a secret of the cluster'));
const now = 1_800_000_000_000;
const header = (setCookie: string) => setCookie.split(';')[0]!;

test('a cookie tells every node with the secret who it was issued to', () => {
  const cookie = header(cookies.issue('änna: b;c', 'tag', now));
  const elsewhere = sessionCookies(Buffer.from('a secret of the cluster'));
  expect(elsewhere.read(`other=1; ${cookie}; more=2`, now)).toEqual({
    name: 'änna: b;c',
    issuedAt: now,
    tag: 'tag',
  });
});

test('a cookie has what browsers and nano need', () => {
  expect(cookies.issue('anna', 'tag', now)).toMatch(
    /^AuthSession=[\w.-]+; Version=1; Expires=Fri, 15 Jan 2027 08:10:00 GMT; Max-Age=600; Path=\/; HttpOnly; SameSite=Strict$/,
  );
  expect(cookies.closed()).toMatch(/^AuthSession=; .*Expires=Thu, 01 Jan 1970.*Max-Age=0/);
});

test('a cookie is good for ten minutes and worn after half of them', () => {
  const cookie = header(cookies.issue('anna', 'tag', now));
  const session = cookies.read(cookie, now + 599_999)!;
  expect(session.name).toBe('anna');
  expect(cookies.read(cookie, now + 600_000)).toBeUndefined();
  expect([cookies.isWorn(session, now + 300_000), cookies.isWorn(session, now + 300_001)]).toEqual([
    false,
    true,
  ]);
});

test('a changed cookie is none, whichever character is changed', () => {
  const cookie = header(cookies.issue('anna', 'tag', now));
  const start = cookie.indexOf('=') + 1;
  // The last character of a signature carries spare bits that mean nothing.
  for (let index = start; index < cookie.length - 1; index += 1) {
    const other = cookie[index] === 'A' ? 'B' : 'A';
    expect(cookies.read(cookie.slice(0, index) + other + cookie.slice(index + 1), now)).toBeUndefined();
  }
});

test.each([
  undefined,
  '',
  'AuthSession',
  'AuthSession=',
  'AuthSession=x.y.z',
  'AuthSession=....',
  `AuthSession=${'a'.repeat(9000)}`,
])('the header %j carries no session', (text) => {
  expect(cookies.read(text, now)).toBeUndefined();
});

test('another secret, as after its change, ends all sessions', () => {
  const cookie = header(cookies.issue('anna', 'tag', now));
  expect(sessionCookies(Buffer.from('another secret')).read(cookie, now)).toBeUndefined();
});
