import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { list } from './api'
import { count, rate, since } from './format'
import { Box, Fault, Head, messageOf } from './parts'
import { linkTo } from './route'
import { type Server, useServer } from './server'
import type { Node } from './types'

// How often the nodes are asked for, in ms.
const every = 2000

/** The servers of the cluster: how each is, and what it has. */
export function Nodes({ server }: { server: Server }): JSX.Element {
  useServer(server)
  const { nodes, fault } = useNodes()
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
              </tr>
            </thead>
            <tbody>
              {nodes.map(node => (
                <Row key={node.id} node={node} />
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
    </>
  )
}

function useNodes(): { nodes: Node[]; fault: string } {
  const [nodes, setNodes] = useState<Node[]>([])
  const [fault, setFault] = useState('')
  useEffect(() => {
    let over = false
    const look = async () => {
      if (document.hidden) return
      try {
        const nodes = await list<Node>('/nodes')
        if (over) return
        setNodes(nodes)
        setFault('')
      } catch (error) {
        if (!over) setFault(messageOf(error))
      }
    }
    void look()
    const timer = setInterval(() => void look(), every)
    return () => {
      over = true
      clearInterval(timer)
    }
  }, [])
  return { nodes, fault }
}

const looks = { ready: 'good', draining: 'wait', silent: 'bad', gone: 'off' } as const
const labels = { ready: 'Ready', draining: 'Draining', silent: 'Silent', gone: 'Gone' } as const

function Row({ node }: { node: Node }): JSX.Element {
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
    </tr>
  )
}
