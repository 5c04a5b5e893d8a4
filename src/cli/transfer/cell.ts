/** What makes a spreadsheet compute a cell, also in the wide forms that some fold. */
const trigger = /^[=+\-@\t\r\n＝＋－＠]/;
/** A quote that stands before one of those or before another quote was put there by {@link guarded}. */
const guard = /^'(?=['=+\-@\t\r\n＝＋－＠])/;

/** A cell that no spreadsheet takes for a formula: names of devices are other people's text. */
export function guarded(cell: string): string {
  return trigger.test(cell) || guard.test(cell) ? `'${cell}` : cell;
}

/** What was guarded. */
export function unguarded(cell: string): string {
  return cell.replace(guard, '');
}
