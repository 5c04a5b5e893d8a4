import { describe, expect, it } from '@jest/globals';
import { parseRedisUrl, redis } from '../../src/config/redis-schema.ts';

const parsed = (url: string, more: object = {}) => redis.safeParse({ url, ...more });
const problem = (url: string, more: object = {}) =>
  parsed(url, more)
    .error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    .join('\n') ?? '';

describe('redis.url', () => {
  it.each([
    ['redis://127.0.0.1', { kind: 'single', hosts: [{ host: '127.0.0.1', port: 6379 }], database: 0 }],
    ['redis://[::1]:7/3', { kind: 'single', hosts: [{ host: '::1', port: 7 }], database: 3 }],
    [
      'redis://app:a%40%2Fb@localhost:7000/',
      { kind: 'single', user: 'app', password: 'a@/b', hosts: [{ host: 'localhost', port: 7000 }] },
    ],
    ['rediss://:p@redis.example.com', { kind: 'single', isTls: true, user: null, password: 'p' }],
    [
      'redis+sentinel://u:p@127.0.0.1:26379,localhost/my-master?db=2',
      {
        kind: 'sentinel',
        isTls: false,
        user: 'u',
        password: 'p',
        master: 'my-master',
        database: 2,
        hosts: [
          { host: '127.0.0.1', port: 26379 },
          { host: 'localhost', port: 26379 },
        ],
      },
    ],
    ['rediss+sentinel://:p@s1.example.com,s2.example.com/m', { kind: 'sentinel', isTls: true, database: 0 }],
    [
      'rediss+cluster://:p@r1.example.com,[2001:db8::1]:7000',
      {
        kind: 'cluster',
        isTls: true,
        hosts: [
          { host: 'r1.example.com', port: 6379 },
          { host: '2001:db8::1', port: 7000 },
        ],
      },
    ],
  ])('%s names what it says', (url, location) => {
    expect(parseRedisUrl(url)).toMatchObject(location);
    expect(parsed(url).success).toBe(true);
  });

  it.each([
    ['http://127.0.0.1', /^url: must begin with redis:\/\/ or rediss:\/\//],
    ['redis+sentinels://127.0.0.1/m', /^url: must begin/],
    ['redis://', /^url: holds a host that is none of/],
    ['redis://127.0.0.1:0', /^url: holds a host/],
    ['redis://127.0.0.1:70000', /^url: holds a host/],
    ['redis://127.0.0.1,127.0.0.2', /^url: names several hosts/],
    ['redis://127.0.0.1/three', /^url: takes nothing behind the host but \/NUMBER/],
    ['redis://127.0.0.1/3?db=4', /^url: takes nothing behind the host but \/NUMBER/],
    ['redis://:100%@127.0.0.1', /^url: holds a % that begins no percent-encoding/],
    ['redis+sentinel://127.0.0.1', /^url: needs the name that the sentinels give the master/],
    ['redis+sentinel://127.0.0.1/', /^url: needs the name/],
    ['redis+sentinel://127.0.0.1/m/3', /^url: needs the name/],
    ['redis+sentinel://127.0.0.1/m?database=3', /^url: takes no parameter but db=NUMBER/],
    ['redis+sentinel://127.0.0.1,,127.0.0.2/m', /^url: holds a host/],
    ['redis+cluster://127.0.0.1/3', /^url: takes nothing behind the hosts/],
  ])('%s is refused with a reason', (url, reason) => {
    expect(problem(url)).toMatch(reason);
  });

  it.each([
    ['redis://10.0.0.9', /needs rediss/],
    ['rediss://10.0.0.9', /needs a password/],
    ['redis+sentinel://:p@127.0.0.1,10.0.0.9/m', /needs rediss/],
    ['rediss+sentinel://127.0.0.1,sentinel.example.com/m', /needs a password/],
    ['redis+cluster://:p@127.0.0.1,redis.example.com', /needs rediss/],
    ['rediss+cluster://user@redis.example.com', /needs a password/],
  ])('S-29: %s is refused: one host elsewhere is enough', (url, reason) => {
    expect(problem(url)).toMatch(reason);
    expect(problem(url.replace(/^rediss?/, 'rediss').replace(/\/\/[^@]*@|\/\//, '//u:p@'))).toBe('');
  });

  it('a password comes from the URL or a file, and stands in no problem', () => {
    expect(problem('rediss://10.0.0.9', { password_file: '/run/secrets/redis' })).toBe('');
    expect(problem('redis://:p@127.0.0.1', { password_file: 'x' })).toMatch(/^password_file: is not needed/);
    expect(problem('redis://127.0.0.1', { sentinel_password_file: 'x' })).toMatch(
      /^sentinel_password_file: is for/,
    );
    expect(problem('redis://127.0.0.1', { ca_file: 'x' })).toMatch(/^ca_file: is for rediss only/);
    for (const url of ['redis://:hu/sh@127.0.0.1', 'redis://:hush@10.0.0.9', 'redis+cluster://:hush@a b'])
      expect(problem(url)).toMatch(/^url: (?!.*hu)/);
  });
});
