/** An element of XML text that we write. Children are written before, text is escaped here. */
export function element(name: string, content: string | readonly string[], attributes = ''): string {
  const inside = typeof content === 'string' ? escapeXml(content) : content.join('');
  return `<${name}${attributes}>${inside}</${name}>`;
}

export function attribute(name: string, value: string): string {
  return ` ${name}="${escapeXml(value)}"`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text and quoted attributes. Callers let no control character in, which XML 1.0 cannot say at all. */
function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => entities[sign] ?? '');
}
