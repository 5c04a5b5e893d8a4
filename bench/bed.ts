import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { makeThrowAwayCertificates } from '../src/demo/certificates.ts';
import { letOthersPass } from '../src/demo/scratch-folder.ts';
import { type Backend, startBackend } from './backend.ts';
import { buildPrograms } from './build.ts';
import { Generator } from './generator.ts';
import { dovecot, dovecotArgon2id } from './targets/dovecot.ts';
import { haproxy } from './targets/haproxy.ts';
import { nginx } from './targets/nginx.ts';
import { type Peer, PeerTarget } from './targets/peer.ts';
import { SallyportTarget, type SallyportVariant, sallyport, sallyportRedis } from './targets/sallyport.ts';
import type { Bed, Target } from './targets/target.ts';

/** Everything that targets share, and how each is started. */
export interface TargetStarter {
  readonly generator: Generator;
  readonly backend: Backend;
  start(name: string): Promise<Target>;
}

const peers: readonly Peer[] = [nginx, dovecot, dovecotArgon2id, haproxy];
const variants: readonly SallyportVariant[] = [sallyport, sallyportRedis];

/** More than a core can prove by argon2id in a second. */
const coldPerSecond = 90;
/** Enough for the CPU of a run to be told from the clock's ticks. */
const coldWithRedis = 2_000;

/** Builds the programs and starts the backend; `seconds` is the length of a run. */
export async function prepareBed(folder: string, seconds: number): Promise<TargetStarter> {
  await letOthersPass(folder);
  const programs = await buildPrograms(folder);
  const certificates = await makeThrowAwayCertificates(folder);
  const backend = await startBackend(folder, programs.stub);
  const generator = new Generator(programs.load);

  const bedFor = async (name: string, coldUsers: number): Promise<Bed> => {
    const own = join(folder, name);
    await mkdir(own);
    return { folder: own, certificates, backend, generator, coldUsers };
  };
  return {
    generator,
    backend,
    async start(name) {
      const peer = peers.find((candidate) => candidate.name === name);
      if (peer !== undefined) return await PeerTarget.start(peer, await bedFor(name, 100));
      const variant = variants.find((candidate) => candidate.name === name);
      if (variant === undefined) throw new Error(`there is no target ${name}`);
      const coldUsers = variant.redis ? coldWithRedis : Math.ceil(coldPerSecond * seconds);
      return await SallyportTarget.start(variant, await bedFor(name, coldUsers));
    },
  };
}
