import {
  activeOf,
  families,
  type KeyFamily,
  type KeyFile,
  KeyFileError,
  newEntry,
  readKeyFile,
  replaceKeyFile,
} from './key-file.ts';

// A key goes in two steps into use, because several nodes have copies of the file: all must know it before one writes under
// it (S-40). Each function throws KeyFileError, and then the file is as it was.

/** Adds a root that is accepted and not yet in use. A family that has one waiting keeps it. Answers the ids. */
export async function addNewKeys(
  path: string,
  chosen: KeyFamily | 'all',
  now: number,
): Promise<readonly { readonly family: KeyFamily; readonly id: number }[]> {
  const file = await readKeyFile(path);
  const added = familiesOf(chosen).map((family) => {
    const waiting = newestOf(file[family]);
    if (waiting.id > activeOf(file[family]).id && waiting.state === 'accept')
      return { family, id: waiting.id };
    // Of gone ones too: an id is never used twice.
    const id = waiting.id + 1;
    file[family] = [{ ...newEntry(id, now), state: 'accept' }, ...file[family]];
    return { family, id };
  });
  await replaceKeyFile(path, file);
  return added;
}

/** Puts roots that wait into use, and keeps those they replace accepted. Answers the families; none waiting is an error. */
export async function activateNewKeys(
  path: string,
  chosen: KeyFamily | 'all',
): Promise<readonly KeyFamily[]> {
  const file = await readKeyFile(path);
  const activated = familiesOf(chosen).filter((family) => {
    const [active, next] = [activeOf(file[family]), newestOf(file[family])];
    if (next.id <= active.id || next.state !== 'accept') return false;
    file[family] = file[family].map((each) => {
      if (each === next) return { ...each, state: 'active' as const };
      return each === active ? { ...each, state: 'accept' as const } : each;
    });
    return true;
  });
  if (activated.length === 0) {
    throw new KeyFileError('no new key waits to be put into use: make one with `sallyport keys rotate`');
  }
  await replaceKeyFile(path, file);
  return activated;
}

/** Takes the key out of the file for ever; its id stays, so that it is not used twice. */
export async function removeKey(path: string, family: KeyFamily, id: number): Promise<void> {
  const file = await readKeyFile(path);
  retirable(file, family, id);
  file[family] = file[family].map((entry) => {
    const { key: _, ...rest } = entry;
    return entry.id === id ? { ...rest, state: 'gone' as const } : entry;
  });
  await replaceKeyFile(path, file);
}

/** Throws {@link KeyFileError} for a key that must stay, or is not there. */
export async function checkRetirable(path: string, family: KeyFamily, id: number): Promise<void> {
  retirable(await readKeyFile(path), family, id);
}

function retirable(file: KeyFile, family: KeyFamily, id: number): void {
  const entry = file[family].find((each) => each.id === id);
  if (entry === undefined) throw new KeyFileError(`there is no ${family} key ${id}`);
  if (entry.state === 'gone') throw new KeyFileError(`${family} key ${id} is retired already`);
  if (entry.state === 'active') {
    throw new KeyFileError(
      `${family} key ${id} is in use: put another one in its place first, with \`sallyport keys rotate\``,
    );
  }
}

function familiesOf(chosen: KeyFamily | 'all'): readonly KeyFamily[] {
  return chosen === 'all' ? families : [chosen];
}

function newestOf(entries: KeyFile['mac']): KeyFile['mac'][number] {
  return entries.reduce((newest, each) => (each.id > newest.id ? each : newest));
}
