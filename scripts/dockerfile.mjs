// A Dockerfile as data, and its steps done in folders: one per stage, which stand for the images' roots.
import { spawnSync } from 'node:child_process';
import { chownSync, cpSync, globSync, lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join, matchesGlob, relative } from 'node:path';

/** Stages with their instructions; throws on what it does not know, so that nothing of the file goes unreplayed. */
export function parseDockerfile(text) {
  const stages = [];
  const lines = text
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n');
  for (const line of lines.map((line) => line.trim()).filter((line) => line !== '')) {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`not an instruction: ${line}`);
    if (name === 'FROM') {
      const [, image, stage] = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(rest);
      stages.push({ name: stage ?? String(stages.length), image, instructions: [] });
    } else {
      stages.at(-1).instructions.push({ name, rest });
    }
  }
  return stages;
}

/** Replays all stages under `folder` and answers what the last one says of how to start it. */
export function replay(stages, { context, folder, path }) {
  const ignored = ignoreRules(readFileSync(join(context, '.dockerignore'), 'utf8'));
  const roots = new Map();
  let image;
  for (const stage of stages) {
    const root = join(folder, stage.name);
    mkdirSync(root, { recursive: true });
    roots.set(stage.name, root);
    image = { root, workdir: '/', env: {}, user: null, entrypoint: [], command: [], healthcheck: null };
    for (const { name, rest } of stage.instructions) {
      switch (name) {
        case 'WORKDIR':
          image.workdir = rest;
          mkdirSync(join(root, rest), { recursive: true });
          break;
        case 'ENV':
          for (const [, key, value] of rest.matchAll(/([A-Z_]+)=(\S*)/g)) image.env[key] = value;
          break;
        case 'COPY':
          copy(rest, image, { context, ignored, roots });
          break;
        case 'RUN':
          run(rest, image, path);
          break;
        case 'USER':
          image.user = rest.split(':').map(Number);
          break;
        case 'ENTRYPOINT':
          image.entrypoint = JSON.parse(rest);
          break;
        case 'CMD':
          image.command = JSON.parse(rest);
          break;
        case 'HEALTHCHECK':
          image.healthcheck = JSON.parse(/CMD (\[.*\])$/.exec(rest)[1]);
          break;
        case 'EXPOSE':
        case 'STOPSIGNAL':
          break;
        default:
          throw new Error(`this replay does not know ${name}`);
      }
    }
  }
  return image;
}

function run(command, { root, workdir, env }, path) {
  if (/(^|[\s=])\//.test(command))
    throw new Error(`RUN with an absolute path would touch this machine: ${command}`);
  process.stdout.write(`RUN ${command}\n`);
  const { status } = spawnSync('/bin/sh', ['-c', command], {
    cwd: join(root, workdir),
    // How this machine reaches its registry is in its environment.
    env: { ...process.env, PATH: path, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new Error(`RUN ended with ${status}: ${command}`);
}

function copy(rest, image, { context, ignored, roots }) {
  const words = rest.split(/\s+/);
  const flags = words.filter((word) => word.startsWith('--')).map((word) => word.slice(2).split('='));
  const paths = words.filter((word) => !word.startsWith('--'));
  const from = flags.find(([name]) => name === 'from')?.[1];
  const owner = flags
    .find(([name]) => name === 'chown')?.[1]
    .split(':')
    .map(Number);
  const base = from === undefined ? context : roots.get(from);
  const destination = paths.pop();
  const target = join(image.root, destination.startsWith('/') ? '' : image.workdir, destination);
  for (const pattern of paths) {
    const sources = globSync(pattern.replace(/^\//, ''), { cwd: base });
    if (sources.length === 0) throw new Error(`COPY finds no ${pattern}`);
    for (const source of sources) {
      const file = join(base, source);
      if (from === undefined && ignored(source))
        throw new Error(`.dockerignore keeps ${source} out of the build`);
      const isFolder = lstatSync(file).isDirectory();
      // Docker copies what is in a folder, but a file under its own name.
      cpSync(file, isFolder ? target : destination.endsWith('/') ? join(target, basename(source)) : target, {
        recursive: true,
        verbatimSymlinks: true,
        filter: (path) => from !== undefined || !ignored(relative(context, path)),
      });
      if (owner !== undefined && process.getuid() === 0) chownSync(target, ...owner);
    }
  }
}

/** The rules of a .dockerignore: the last that fits decides, and a folder's rule holds for what is in it. */
function ignoreRules(text) {
  const rules = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  return (path) => {
    let out = false;
    for (const rule of rules) {
      const pattern = rule.replace(/^!/, '');
      if (matchesGlob(path, pattern) || matchesGlob(path, `${pattern}/**`)) out = !rule.startsWith('!');
    }
    return out;
  };
}
