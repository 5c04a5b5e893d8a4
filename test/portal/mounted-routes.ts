import type { Bed } from './bed.ts';

/** Every route as the router has it, such as `GET /app-passwords/{id}`. */
export function mountedRoutes(bed: Bed): readonly string[] {
  const found: string[] = [];
  const path: string[] = [];
  for (const line of bed.app.printRoutes({ commonPrefix: false, includeHooks: false }).split('\n')) {
    const [, indent = '', segment, methods] = /^([│ ]*)[├└]── (.*?)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? [];
    if (segment === undefined) continue;
    path.splice(indent.length / 4);
    path.push(segment);
    for (const method of methods?.split(', ') ?? []) {
      found.push(`${method} ${path.join('').replaceAll(/:(\w+)/g, '{$1}')}`);
    }
  }
  return found;
}
