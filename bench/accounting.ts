import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ, which Linux shows to programs whatever the kernel's own clock is. */
const ticksPerSecond = 100;

interface ProcessTimes {
  readonly parent: number;
  readonly ticks: number;
}

/** The process and what descends from it; none where it has ended. */
export function processTree(root: number, all: ReadonlyMap<number, ProcessTimes> = allProcesses()): number[] {
  const tree: number[] = [];
  const next = all.has(root) ? [root] : [];
  for (let pid = next.pop(); pid !== undefined; pid = next.pop()) {
    tree.push(pid);
    for (const [child, { parent }] of all) {
      if (parent === pid) next.push(child);
    }
  }
  return tree;
}

/** CPU seconds of whole process trees so far; children that ended count once their parent has collected them. */
export function cpuSeconds(roots: readonly number[]): number {
  const all = allProcesses();
  const pids = roots.flatMap((root) => processTree(root, all));
  return pids.reduce((sum, pid) => sum + (all.get(pid)?.ticks ?? 0), 0) / ticksPerSecond;
}

/** Proportional set size of whole process trees, in KiB: pages shared by several processes are divided among them. */
export function memoryKib(roots: readonly number[]): number {
  const all = allProcesses();
  return roots
    .flatMap((root) => processTree(root, all))
    .reduce(
      (sum, pid) => sum + Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0),
      0,
    );
}

/** How many files, and so sockets, one process may have open. */
export function openFilesLimit(): number {
  const limit = /^Max open files\s+\S+\s+(\d+)/m.exec(read('/proc/self/limits'))?.[1];
  return limit === undefined ? 1_024 : Number(limit);
}

function allProcesses(): ReadonlyMap<number, ProcessTimes> {
  const all = new Map<number, ProcessTimes>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? read(`/proc/${name}/stat`) : '';
    if (stat === '') continue;
    // The program's name, in parentheses, may hold anything; proc_pid_stat(5) numbers the fields from it on.
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [parent = 0, user = 0, system = 0, childUser = 0, childSystem = 0] = [1, 11, 12, 13, 14].map(
      (index) => fields[index],
    );
    all.set(Number(name), { parent, ticks: user + system + childUser + childSystem });
  }
  return all;
}

/** Empty where the process has ended meanwhile. */
function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
