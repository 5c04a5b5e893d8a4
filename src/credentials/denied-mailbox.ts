import type { Backend } from '../config/schema.ts';

/** S-47: the gateway's own login is nobody's mailbox, and the operator may name more that nobody opens from outside. */
export function isDeniedMailbox(
  backend: Backend | undefined,
  name: { readonly address: string; readonly local: string },
): boolean {
  if (backend === undefined) return false;
  const denied = [...backend.denyUsers, backend.login.user].map((user) => user.toLowerCase());
  return denied.includes(name.address.toLowerCase()) || denied.includes(name.local.toLowerCase());
}
