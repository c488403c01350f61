import 'uplot/dist/uPlot.min.css'
import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'

interface Props {
  title: string
  /** The present value, in words. */
  value: string
  /** Seconds since 1970, and a number or null for each. */
  times: number[]
  values: (number | null)[]
  format(value: number): string
  /** The end of the scale for small values. */
  least: number
}

const height = 150

/** One line over the last minutes. */
export function Chart({ title, value, times, values, format, least }: Props): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  useEffect(() => {
    const element = box.current
    if (!element) return
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const make = () => {
      plot.current?.destroy()
      plot.current = draw(element, format, least)
    }
    make()
    dark.addEventListener('change', make)
    const size = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height }),
    )
    size.observe(element)
    return () => {
      dark.removeEventListener('change', make)
      size.disconnect()
      plot.current?.destroy()
      plot.current = null
    }
  }, [])
  useEffect(() => {
    plot.current?.setData([times, values] as uPlot.AlignedData)
  })
  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span>
        <b>{value}</b>
      </figcaption>
      <div ref={box} aria-hidden="true" />
    </figure>
  )
}

function draw(element: HTMLElement, format: (value: number) => string, least: number): uPlot {
  const style = getComputedStyle(element)
  const color = (name: string) => style.getPropertyValue(name).trim()
  const font = '11px system-ui, sans-serif'
  const axis = { stroke: color('--soft'), font, ticks: { show: false } }
  const grid = { stroke: color('--line'), width: 1 }
  return new uPlot(
    {
      width: element.clientWidth,
      height,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 6, 0, 0],
      scales: {
        x: { time: true, range: (_, min, max) => [Math.min(min, max - 60), max] },
        y: { range: (_, __, max) => [0, Math.max(least, max * 1.15)] },
      },
      series: [
        {},
        {
          stroke: color('--accent'),
          fill: `color-mix(in srgb, ${color('--accent')} 14%, transparent)`,
          width: 1.5,
          spanGaps: true,
          points: { show: false },
        },
      ],
      axes: [
        {
          ...axis,
          grid: { show: false },
          space: 70,
          size: 24,
          values: (_, marks) => marks.map(mark => clock(mark)),
        },
        { ...axis, grid, space: 34, size: 66, values: (_, marks) => marks.map(format) },
      ],
    },
    [[], []],
    element,
  )
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString('en-GB', {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
}
