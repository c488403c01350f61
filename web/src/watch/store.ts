// What a viewer chose, kept by the browser if it keeps anything: frames of other sites may not.

export function recall(name: string): string | null {
  try {
    return localStorage.getItem(`livego.${name}`)
  } catch {
    return null
  }
}

export function remember(name: string, value: string) {
  try {
    localStorage.setItem(`livego.${name}`, value)
  } catch {
    // Then it is forgotten.
  }
}
