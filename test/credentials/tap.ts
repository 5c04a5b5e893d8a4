import type { KyselyPlugin, PluginTransformQueryArgs, PluginTransformResultArgs } from 'kysely';

type Fault = 'throw' | 'hang' | 'undefined';

/** Sees every statement that goes to SQL, and breaks the one it is told to. */
export class Tap implements KyselyPlugin {
  /** Syntax trees with their bound values. */
  readonly statements: string[] = [];
  #results = 0;
  #fault: { readonly at: number; readonly kind: Fault } | null = null;

  /** The `at`-th answer from now fails. */
  break(at: number, kind: Fault): void {
    this.#results = 0;
    this.#fault = { at, kind };
  }

  heal(): void {
    this.#fault = null;
  }

  /** Whether the broken answer was reached. */
  get hasBroken(): boolean {
    return this.#fault !== null && this.#results > this.#fault.at;
  }

  /** Kind and table of each statement. */
  get shapes(): string[] {
    return this.statements.map((statement) => {
      const kind = /"kind":"(\w+)QueryNode"/.exec(statement)?.[1];
      const table =
        /"table":\{"kind":"SchemableIdentifierNode","identifier":\{"kind":"IdentifierNode","name":"(\w+)"/;
      return `${kind} ${table.exec(statement)?.[1]}`;
    });
  }

  transformQuery({ node }: PluginTransformQueryArgs): PluginTransformQueryArgs['node'] {
    this.statements.push(JSON.stringify(node));
    return node;
  }

  async transformResult({ result }: PluginTransformResultArgs): Promise<PluginTransformResultArgs['result']> {
    const index = this.#results;
    this.#results += 1;
    if (index !== this.#fault?.at) return result;
    switch (this.#fault.kind) {
      case 'throw':
        throw new Error('the database is away');
      case 'hang':
        return await new Promise<never>(() => undefined);
      case 'undefined':
        return undefined as never;
      default:
        this.#fault.kind satisfies never;
        return result;
    }
  }
}
