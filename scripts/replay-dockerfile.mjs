// Replays the Dockerfile, then starts the result as its user with a scratch configuration and looks at it from outside.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeThrowAwayCertificates } from '../src/demo/certificates.ts';
import { parseDockerfile, replay } from './dockerfile.mjs';

const context = process.argv[2];
const startMs = 30_000;
const folder = mkdtempSync(join(tmpdir(), 'sallyport-image-'));
const path = `${dirname(process.execPath)}:${process.env.PATH}`;
const say = (line) => process.stdout.write(`${line}\n`);
let gateway = null;

try {
  chmodSync(folder, 0o755);
  const image = replay(parseDockerfile(readFileSync(join(context, 'Dockerfile'), 'utf8')), {
    context,
    folder,
    path,
  });
  expectProductionOnly(image);
  await expectRunning(image);
  say('replay: the image of the Dockerfile starts, answers its health check, and stops when told');
} catch (error) {
  process.stderr.write(`replay: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  gateway?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

/** Holds the installed packages against the lock file, which says of each whether only development needs it. */
function expectProductionOnly({ root, workdir }) {
  const modules = join(root, workdir, 'node_modules');
  const { packages } = JSON.parse(readFileSync(join(context, 'package-lock.json'), 'utf8'));
  const unwanted = Object.entries(packages)
    .filter(([place, { dev, optional, devOptional }]) => place !== '' && (dev || optional || devOptional))
    .filter(([place]) => existsSync(join(root, workdir, place)))
    .map(([place]) => place);
  if (unwanted.length > 0) throw new Error(`not for production: ${unwanted.join(', ')}`);
  const installed = Object.keys(
    JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')).packages,
  );
  if (installed.length === 0) throw new Error('no package was installed');
  for (const name of ['src', 'test', '.npmrc', 'tsconfig.json']) {
    if (existsSync(join(root, workdir, name))) throw new Error(`${name} is in the image`);
  }
  say(`replay: ${installed.length} packages, none of them for development only`);
}

async function expectRunning(image) {
  const app = join(image.root, image.workdir);
  const owner =
    process.getuid() === 0 && image.user !== null ? { uid: image.user[0], gid: image.user[1] } : {};
  const { configFile, metricsPort } = await writeScratchConfiguration(owner);
  const env = { PATH: path, ...image.env, SALLYPORT_CONFIG: configFile };
  const entry = (words) => [image.entrypoint[0], [...image.entrypoint.slice(1), ...words]];
  const keys = spawnSync(...entry(['keys', 'init']), { cwd: app, env, ...owner, encoding: 'utf8' });
  if (keys.status !== 0) throw new Error(`keys init ended with ${keys.status}: ${keys.stderr}`);

  gateway = spawn(...entry(image.command), { cwd: app, env, ...owner, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [gateway.stdout, gateway.stderr]) stream.on('data', (bytes) => (output += bytes));
  const ended = once(gateway, 'exit');
  const check = image.healthcheck.map((word) => word.replaceAll(':9464/', `:${metricsPort}/`));
  const deadline = Date.now() + startMs;
  while (spawnSync(check[0], check.slice(1), { cwd: app, env, ...owner }).status !== 0) {
    if (gateway.exitCode !== null || Date.now() > deadline)
      throw new Error(`it does not get healthy:\n${output}`);
    await delay(200);
  }
  gateway.kill('SIGTERM');
  const stopped = await Promise.race([ended, delay(startMs, null, { ref: false })]);
  if (stopped === null || stopped[0] !== 0) throw new Error(`SIGTERM did not end it well:\n${output}`);
  gateway = null;
}

async function writeScratchConfiguration(owner) {
  const place = (name) => join(folder, 'run', name);
  for (const name of ['', 'state', 'keys']) {
    mkdirSync(place(name), { recursive: true, mode: 0o700 });
    if (owner.uid !== undefined) chownSync(place(name), owner.uid, owner.gid);
  }
  await makeThrowAwayCertificates(place(''));
  if (owner.uid !== undefined) chownSync(place('mail.key'), owner.uid, owner.gid);
  const metricsPort = await freePort();
  const configFile = place('sallyport.yaml');
  const endpoint = { host: '127.0.0.1', port: 9, tls: 'none' };
  // YAML takes JSON.
  writeFileSync(
    configFile,
    JSON.stringify({
      hostname: 'mail.example.com',
      state_dir: place('state'),
      keys_file: place('keys/keys.json'),
      tls: { certificates: [{ cert: place('mail.pem'), key: place('mail.key') }] },
      listen: [
        { door: 'imap', host: '127.0.0.1', port: 0, tls: 'implicit' },
        { door: 'smtp', host: '127.0.0.1', port: 0, tls: 'implicit' },
      ],
      portal: { host: '127.0.0.1', port: 0, public_url: 'https://localhost' },
      metrics: { host: '127.0.0.1', port: metricsPort },
      database: { url: `sqlite:${place('state/sallyport.db')}` },
      backends: {
        none: {
          imap: endpoint,
          smtp: endpoint,
          login: { method: 'master', user: 'gateway', password: 'unused' },
        },
      },
      domains: { 'example.com': { backend: 'none', sign_in: { method: 'imap' }, enrollment: 'open' } },
    }),
  );
  return { configFile, metricsPort };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
