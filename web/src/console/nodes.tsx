import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { call, list } from './api'
import { count, rate, since } from './format'
import { useLook } from './look'
import { Box, Confirm, Fault, Head, messageOf, type Question } from './parts'
import { linkTo } from './route'
import { type Server, useServer } from './server'
import type { Node } from './types'

// How often the nodes are asked for, in ms.
const every = 2000

/** The servers of the cluster: how each is, and what it has. */
export function Nodes({ server }: { server: Server }): JSX.Element {
  useServer(server)
  const { nodes, fault, look } = useNodes()
  const [question, setQuestion] = useState<Question | null>(null)
  const drain = ({ id, self }: Node) =>
    setQuestion({
      title: `Drain ${id}?`,
      text: `Its streams move to other nodes, and its process ends${self ? ', and with it this page' : ''}.`,
      button: 'Drain the node',
      act: async () => {
        await call('POST', `/nodes/${encodeURIComponent(id)}/drain`)
        await look()
      },
    })
  const living = nodes.filter(n => n.state === 'ready')
  return (
    <>
      <Head title="Nodes">
        <p class="state" role="status">
          <span class={`badge ${living.length > 0 ? 'good' : 'off'}`}>
            {`${living.length} of ${count(nodes.length, 'node')} ready`}
          </span>
        </p>
      </Head>
      <Fault text={fault} />
      <Box title="Servers of the cluster" wide>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
        <section class="scroll" aria-label="Nodes" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Node</th>
                <th scope="col">State</th>
                <th scope="col">Region</th>
                <th scope="col">Load</th>
                <th scope="col">Viewers</th>
                <th scope="col">To viewers</th>
                <th scope="col">Streams</th>
                <th scope="col">Up</th>
                <th scope="col">Version</th>
                <th scope="col">Address</th>
                <th scope="col">
                  <span class="unseen">Steer</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {nodes.map(node => (
                <Row key={node.id} node={node} drain={drain} />
              ))}
            </tbody>
          </table>
        </section>
      </Box>
      <Box title="Streams" note="at their homes" wide>
        {server.streams.length === 0 && <p class="soft">Nothing is on air now.</p>}
        <ul class="homes">
          {server.streams.map(stream => (
            <li key={stream.name}>
              <a href={linkTo('stream', stream.name)}>{stream.name}</a>
              <span class="soft">
                {stream.node ?? 'no home'} · {count(stream.viewers.total, 'viewer')}
              </span>
            </li>
          ))}
        </ul>
      </Box>
      <Confirm question={question} close={() => setQuestion(null)} />
    </>
  )
}

function useNodes() {
  const [nodes, setNodes] = useState<Node[]>([])
  const [fault, setFault] = useState('')
  const look = async () => {
    try {
      setNodes(await list<Node>('/nodes'))
      setFault('')
    } catch (error) {
      setFault(messageOf(error))
    }
  }
  useLook(look, every)
  return { nodes, fault, look }
}

const looks = { ready: 'good', draining: 'wait', silent: 'bad', gone: 'off' } as const
const labels = { ready: 'Ready', draining: 'Draining', silent: 'Silent', gone: 'Gone' } as const

function Row({ node, drain }: { node: Node; drain(node: Node): void }): JSX.Element {
  const there = node.state !== 'gone'
  return (
    <tr>
      <td>
        <b class="node-name">{node.id}</b>
        {node.self && <span class="soft"> this one</span>}
      </td>
      <td>
        <span class={`badge ${looks[node.state]}`}>{labels[node.state]}</span>
      </td>
      <td>{node.region ?? ''}</td>
      <td>{there ? `${Math.round(node.load * 100)} %` : '–'}</td>
      <td>{there ? node.viewers.toLocaleString('en') : '–'}</td>
      <td>{there ? rate(node.bit_rate_out) : '–'}</td>
      <td>{there ? node.streams.toLocaleString('en') : '–'}</td>
      <td>{there ? since(node.started) : '–'}</td>
      <td>{node.version}</td>
      <td>{node.address}</td>
      <td>
        {node.state === 'ready' && (
          <button
            type="button"
            class="button"
            aria-label={`Drain ${node.id}`}
            onClick={() => drain(node)}
          >
            Drain
          </button>
        )}
      </td>
    </tr>
  )
}
