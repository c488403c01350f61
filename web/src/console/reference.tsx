import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Copy } from '../ui/copy'
import { call } from './api'
import { Fault, Head, messageOf } from './parts'

interface Schema {
  $ref?: string
  type?: string | string[]
  description?: string
  enum?: unknown[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  readOnly?: boolean
}

interface Parameter {
  name: string
  in: string
  required?: boolean
  description?: string
  schema: Schema
}

interface Operation {
  operationId: string
  summary?: string
  description?: string
  tags?: string[]
  parameters?: Parameter[]
  requestBody?: { content?: Record<string, { schema?: Schema }> }
  responses: Record<string, { description?: string; content?: Record<string, { schema?: Schema }> }>
}

interface Document {
  info: { description?: string }
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

/** The API, drawn from its OpenAPI document. */
export function Reference(): JSX.Element {
  const [doc, setDoc] = useState<Document | null>(null)
  const [fault, setFault] = useState('')
  useEffect(() => {
    call<Document>('GET', '/openapi.json').then(setDoc, error => setFault(messageOf(error)))
  }, [])
  const groups = new Map<string, [string, string, Operation][]>()
  for (const [path, operations] of Object.entries(doc?.paths ?? {})) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? 'Other'
      groups.set(tag, [...(groups.get(tag) ?? []), [method.toUpperCase(), path, operation]])
    }
  }
  return (
    <>
      <Head title="API" />
      <Fault text={fault} />
      {doc && (
        <>
          <p class="soft lead">{doc.info.description}</p>
          <p class="soft">
            The same for generators of clients:{' '}
            <a href="api/v1/openapi.json" target="_blank" rel="noopener">
              openapi.json
            </a>
          </p>
        </>
      )}
      {doc &&
        [...groups].map(([tag, operations]) => (
          <section key={tag} class="api-group" aria-label={tag}>
            <h2>{tag}</h2>
            {operations.map(([method, path, operation]) => (
              <Entry
                key={operation.operationId}
                doc={doc}
                method={method}
                path={path}
                operation={operation}
              />
            ))}
          </section>
        ))}
    </>
  )
}

interface EntryProps {
  doc: Document
  method: string
  path: string
  operation: Operation
}

function Entry({ doc, method, path, operation }: EntryProps): JSX.Element {
  const [open, setOpen] = useState(false)
  return (
    <details class="api-entry" onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>
        <span class={`method method-${method.toLowerCase()}`}>{method}</span>
        <code>{path}</code>
        <span class="soft">{operation.summary}</span>
      </summary>
      {open && <Inside doc={doc} method={method} path={path} operation={operation} />}
    </details>
  )
}

function Inside({ doc, method, path, operation }: EntryProps): JSX.Element {
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema
  const good = Object.entries(operation.responses).find(([status]) => status.startsWith('2'))
  const answer = Object.values(good?.[1].content ?? {})[0]?.schema
  const parameters = operation.parameters ?? []
  return (
    <div class="api-inside">
      {operation.description && <p>{operation.description}</p>}
      {parameters.length > 0 && (
        <>
          <h3>Parameters</h3>
          <dl>
            {parameters.map(({ name, in: place, required, description, schema }) => (
              <div key={place + name}>
                <dt>
                  <code>{name}</code>{' '}
                  <span class="soft">
                    {place}, {typeOf(doc, schema)}
                    {required ? ', required' : ''}
                  </span>
                </dt>
                <dd>{description ?? schema.description}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
      {body && (
        <>
          <h3>Body</h3>
          <Fields doc={doc} schema={body} depth={0} />
        </>
      )}
      <h3>Answer {good?.[0]}</h3>
      {answer ? (
        <Fields doc={doc} schema={answer} depth={0} />
      ) : (
        <p class="soft">{good?.[1].description || 'Nothing.'}</p>
      )}
      <Copy label="curl" text={curl(method, path, body !== undefined)} />
    </div>
  )
}

function curl(method: string, path: string, body: boolean): string {
  const url = `${location.origin}${location.pathname.replace(/\/$/, '')}/api/v1${path}`
  const verb = method === 'GET' ? '' : ` -X ${method}`
  const json = body ? " -H 'Content-Type: application/json' -d '{}'" : ''
  return `curl${verb} -H "Authorization: Bearer $TOKEN"${json} '${url}'`
}

// Types within types are shown so deep.
const deepest = 4

function Fields({
  doc,
  schema,
  depth,
}: {
  doc: Document
  schema: Schema
  depth: number
}): JSX.Element | null {
  const whole = resolve(doc, schema)
  const properties = Object.entries(whole.properties ?? {}).filter(([name]) => name !== '$schema')
  if (properties.length === 0) return depth === 0 ? <p class="soft">{typeOf(doc, whole)}</p> : null
  return (
    <dl>
      {properties.map(([name, property]) => {
        const inner = resolve(doc, property.items ?? property)
        return (
          <div key={name}>
            <dt>
              <code>{name}</code>{' '}
              <span class="soft">
                {typeOf(doc, property)}
                {whole.required?.includes(name) ? '' : ', optional'}
              </span>
            </dt>
            <dd>
              {property.description}
              {depth < deepest && <Fields doc={doc} schema={inner} depth={depth + 1} />}
            </dd>
          </div>
        )
      })}
    </dl>
  )
}

function resolve(doc: Document, schema: Schema): Schema {
  const name = schema.$ref?.split('/').at(-1)
  return (name && doc.components.schemas[name]) || schema
}

function typeOf(doc: Document, schema: Schema): string {
  const { type, enum: values, items } = resolve(doc, schema)
  if (values) return values.join(' | ')
  const [name] = [type].flat().filter(t => t !== 'null')
  return name === 'array' && items ? `list of ${typeOf(doc, items)}` : (name ?? 'anything')
}
