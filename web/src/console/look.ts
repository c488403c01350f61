import { useEffect } from 'preact/hooks'

/**
 * Looks at once, and then every so many milliseconds while the page is seen. It begins anew when
 * something of what it depends on changes.
 */
export function useLook(
  look: () => unknown,
  every: number,
  depends: readonly unknown[] = [],
): void {
  useEffect(() => {
    look()
    const timer = setInterval(() => !document.hidden && look(), every)
    return () => clearInterval(timer)
  }, depends)
}
