/** One of six looks, the same for a name each time. */
export function tone(name: string): number {
  let sum = 0
  for (const c of name) sum = (sum * 31 + (c.codePointAt(0) ?? 0)) % 6
  return sum
}
