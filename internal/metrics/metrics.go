// Package metrics shows the figures of a server to Prometheus. The server counts in its own ways;
// here is what the counts are called, and when they are looked at: at a scrape.
package metrics

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// maxScrapes bounds the scrapes that are answered at a time: anybody may ask where metrics_addr
	// is open.
	maxScrapes = 4
	// scrapeTimeout is after how long one is given up.
	scrapeTimeout = 10 * time.Second
)

// Options configures Metrics.
type Options struct {
	// Version is that of the program.
	Version string
	// Streams is how many streams have series of their own, until they end.
	// The others are summed up.
	Streams int
	// Read returns the figures of now. It is called at each scrape, by one goroutine at a time.
	Read func() *Figures
}

// Metrics answers scrapes. Its methods may be called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry
	latency  prometheus.Histogram
	delay    prometheus.Histogram
	keys     prometheus.Histogram
	failures prometheus.Counter
	cluster  prometheus.Histogram
	away     prometheus.Counter
}

// latencies are the bounds of the histograms, in seconds.
var latencies = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// New returns metrics of a server.
func New(o Options) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "livego_delivery_latency_seconds", Buckets: latencies,
			Help: "Time from the arrival of a picture or frame to its having been sent to the players of a stream, of one delivery in 64.",
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "livego_hls_part_delay_seconds", Buckets: latencies,
			Help: "Time from the arrival of the last picture or frame of a part of Low-Latency HLS to its being published.",
		}),
		keys: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "livego_key_store_duration_seconds", Buckets: latencies,
			Help: "Time that calls of the storage of channel keys (the file, or Redis) took.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livego_key_store_failures_total", Help: "Calls of the storage of channel keys that failed: the disk or Redis is at fault.",
		}),
	}
	m.cluster = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "livego_cluster_registry_duration_seconds", Buckets: latencies,
		Help: "Time that calls of what the nodes share (Redis) took.",
	})
	m.away = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "livego_cluster_registry_failures_total", Help: "Calls of what the nodes share that failed: Redis or the network to it is at fault.",
	})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "livego_build_info", Help: "Always 1; the version of the program and of Go stand in the labels.",
		ConstLabels: prometheus.Labels{"version": o.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(
		newCollector(o.Streams, o.Read), m.latency, m.delay, m.keys, m.failures, m.cluster, m.away, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers scrapes, in the formats that Prometheus asks for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout,
	})
}

// Delivered notes how long after it came a picture or frame had been sent to players.
func (m *Metrics) Delivered(latency time.Duration) { m.latency.Observe(latency.Seconds()) }

// Published notes how long after its last unit came a part of Low-Latency HLS was published.
func (m *Metrics) Published(delay time.Duration) { m.delay.Observe(delay.Seconds()) }

// KeysAsked notes a call of the storage of channel keys.
func (m *Metrics) KeysAsked(took time.Duration, failed bool) {
	m.keys.Observe(took.Seconds())
	if failed {
		m.failures.Inc()
	}
}

// RegistryAsked notes a call of what the nodes of a cluster share.
func (m *Metrics) RegistryAsked(took time.Duration, failed bool) {
	m.cluster.Observe(took.Seconds())
	if failed {
		m.away.Inc()
	}
}
