import { useEffect, useState } from 'preact/hooks'

// Where the console is stands behind the # of its address, so that it works on any path.

export interface Route {
  page: string
  /** What the page is about, such as a stream. */
  subject: string
}

function read(): Route {
  const [page = '', subject = ''] = location.hash.replace(/^#\/?/, '').split('/')
  try {
    return { page, subject: decodeURIComponent(subject) }
  } catch {
    return { page: '', subject: '' }
  }
}

export function useRoute(): Route {
  const [route, setRoute] = useState(read)
  useEffect(() => {
    const changed = () => {
      setRoute(read())
      window.scrollTo(0, 0)
    }
    window.addEventListener('hashchange', changed)
    return () => window.removeEventListener('hashchange', changed)
  }, [])
  return route
}

export function linkTo(page: string, subject = ''): string {
  return subject ? `#/${page}/${encodeURIComponent(subject)}` : `#/${page}`
}
