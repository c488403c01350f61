package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/api"
	v1 "livego/internal/api/v1"
	"livego/internal/console"
	"livego/internal/event"
	"livego/internal/fanout"
	"livego/internal/flv"
	"livego/internal/hls"
	"livego/internal/ledger"
	"livego/internal/listen"
	"livego/internal/live"
	"livego/internal/metrics"
	"livego/internal/pages"
	"livego/internal/record"
	"livego/internal/relay"
	"livego/internal/rtmp"
	"livego/internal/spool"
	"livego/internal/watch"
)

// Why the server ends sessions itself.
var (
	errShutdown = errors.New("server is shutting down")
	errRevoked  = errors.New("channel key was revoked")
	errKicked   = errors.New("ended by an operator")
	errEnded    = errors.New("stream ended by an operator")
)

const (
	defaultReadTimeout  = 10 * time.Second
	defaultWriteTimeout = 10 * time.Second
	defaultDrainTimeout = 5 * time.Second

	// The bounds of the HTTP servers. A segment that takes longer than httpWriteTimeout is of no
	// use to a live viewer.
	httpIdleTimeout  = time.Minute
	httpWriteTimeout = time.Minute
	maxHTTPHeader    = 16 << 10
)

// Server is one livego server. Several may run in one process.
type Server struct {
	opt      Options
	log      *slog.Logger
	lines    *lines // what log leaves out
	settings atomic.Pointer[settings]
	hub      *live.Hub
	fanout   *fanout.Fanout
	hls      *hls.Server
	watch    *watch.Handler
	console  *console.Handler
	spool    *spool.Store // nil: no rewinding
	ledger   *ledger.Ledger
	ready    atomic.Bool             // the listeners are served
	streams  http.Handler            // the list of the HTTP-FLV port
	posters  *recent[string, poster] // pictures that commands beside streams made, by the streams' keys
	sessions *registry
	out      outMeter
	events   *event.Bus
	endings  *recent[string, struct{}] // streams that ended a moment ago
	limits   *listen.Limits
	metrics  *metrics.Metrics
	issuer   *listen.Issuer // nil: certificates come from files
	// refused counts publishers by reason, handshakes connections that failed.
	refused    tally[string]
	handshakes tally[handshake]
	hookCounts hookCounts

	resources *v1.API
	reloading sync.Mutex
	ended     bool // no reload begins any more; guarded by reloading

	listeners []*listener
	http3     *listen.HTTP3   // nil: off
	ctx       context.Context // of all connections; ends when they must be gone
	cancel    context.CancelCauseFunc
	teller    *teller
	relays    *relay.Relays
	archive   *record.Archive                 // nil: off
	records   atomic.Pointer[record.Recorder] // nil: off
	holding   sync.Mutex                      // held while packaging is told what is recorded
	outputs   []output
	leaving   chan string // has why Run is to end, if the API wants that
	sources   []source
	pulls     *pulls
	// ways are the servers that streams have passed which come by relays.
	ways      *recent[live.Name, []string]
	marker    []byte
	revoking  sync.Mutex      // held while the file of revoked tokens is written
	node      *node           // nil: this server is alone
	outCtx    context.Context // of the outputs; ends first
	outCancel context.CancelFunc
	conns     tasks
	writers   tasks // what the outputs run
}

// New checks the options and opens the listeners, so that a port that is in use is known at once.
// Run serves them.
func New(opt Options) (*Server, error) {
	opt = opt.withDefaults()
	var lines *lines
	opt.Log, lines = limited(opt.Log)
	built, err := pages.Built()
	if err != nil {
		return nil, err
	}
	var s *Server
	figures := metrics.New(opt.metrics(func() *metrics.Figures { return s.figures() }))
	opt.Keys = measuredKeys{opt.Keys, figures.KeysAsked}
	if opt.Cluster.Registry != nil {
		opt.Cluster.Registry = measuredRegistry{opt.Cluster.Registry, figures.RegistryAsked}
	}
	s = &Server{
		opt: opt, log: opt.Log, metrics: figures, lines: lines,
		events: event.NewBus(event.Options{Node: opt.Cluster.name(), Boot: newID()}), endings: newRecent[string, struct{}](maxEndings, endingTold, time.Now),
		posters: newRecent[string, poster](maxPosters, 0, time.Now), ways: newRecent[live.Name, []string](maxHomes, 0, time.Now),
		limits:  listen.NewLimits(opt.MaxConnections, opt.MaxConnectionsPerAddr, listen.MaxFiles()),
		leaving: make(chan string, 1),
	}
	s.sessions, s.marker = newRegistry(s.events), newMarker(opt.Cluster)
	s.streams = api.StreamsHandler(s)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.outCtx, s.outCancel = context.WithCancel(s.ctx)
	s.fanout = fanout.New(s.fanoutOptions())
	s.teller = newTeller(s.events)
	s.openAPI()
	s.console = s.newConsole(built)
	now, err := s.newSettings(opt)
	if err == nil {
		err = s.restoreRevoked(now.access)
	}
	if err != nil {
		s.cancel(err)
		return nil, err
	}
	s.settings.Store(now)
	if err := s.openSpool(); err != nil {
		s.cancel(err)
		return nil, err
	}
	s.openLedger()
	if err := s.openRecorder(now); err != nil {
		s.closeDisk(time.Now().Add(opt.DrainTimeout))
		s.cancel(err)
		return nil, err
	}
	s.hls = hls.NewServer(s.hlsOptions())
	s.outputs = []output{s.outputHLS, s.outputPush, s.outputCommands}
	if opt.FLVArchive {
		s.archive = record.NewArchive(opt.FLVDir, flv.AppendBody, s.events, s.log)
		s.outputs = append(s.outputs, s.outputFLV)
	}
	if err := s.openNode(); err != nil {
		s.cancel(err)
		return nil, err
	}
	s.watch = s.newWatch(built)
	s.hub = live.NewHub(s.liveOptions())
	s.openRelays()
	s.openPulls()
	if err := s.listen(); err != nil {
		s.closeListeners()
		s.closeDisk(time.Now().Add(opt.DrainTimeout))
		s.cancel(err)
		return nil, err
	}
	if s.node != nil {
		s.node.ready()
	}
	return s, nil
}

// listener is a Listener and what serves it. serve returns when it is closed, or why it broke.
type listener struct {
	listen.Listener
	serve func(*listener) error
}

// listen opens the listeners that have an address.
func (s *Server) listen() error {
	o := &s.opt
	s.issuer = listen.NewIssuer(o.ACME, s.log)
	rtmps := listen.Certificate{Issuer: s.issuer, Option: rtmpsFiles, Cert: o.RTMPSCert, Key: o.RTMPSKey, Given: o.TLSConfig}
	https := listen.Certificate{Issuer: s.issuer, Option: httpsFiles, Cert: o.HTTPSCert, Key: o.HTTPSKey, Given: o.TLSConfig}
	for _, l := range []*listener{
		{listen.Listener{Name: "rtmp", Option: "rtmp_addr", At: o.RTMPAddr, Secure: o.RTMPTLS, Certificate: rtmps}, s.serveRTMP},
		{listen.Listener{Name: "rtmps", Option: "rtmps_addr", At: o.RTMPSAddr, Secure: true, Certificate: rtmps}, s.serveRTMP},
		{listen.Listener{Name: "http-flv", Option: "httpflv_addr", At: o.FLVAddr, Secure: o.FLVTLS, Certificate: https}, s.httpServer(listen.Watching, s.forOrigins(s.serveFLV))},
		{listen.Listener{Name: "hls", Option: "hls_addr", At: o.HLSAddr, Secure: o.HLSTLS, Multiplexed: true, Certificate: https}, s.serveBrowsers(s.forOrigins(s.serveHLS))},
		{listen.Listener{Name: "https", Option: "https_addr", At: o.HTTPSAddr, Secure: true, Multiplexed: true, Certificate: https}, s.serveBrowsers(s.forOrigins(s.serveHTTPS))},
		{listen.Listener{Name: "redirect", Option: "http_redirect_addr", At: o.HTTPRedirectAddr}, s.httpServer(listen.Watching, s.redirect())},
		{listen.Listener{Name: "api", Option: "api_addr", At: o.APIAddr}, s.httpServer(listen.Working, http.HandlerFunc(s.serveAPI))},
		{listen.Listener{Name: "metrics", Option: "metrics_addr", At: o.MetricsAddr}, s.httpServer(listen.Working, scrapes(s.metrics.Handler()))},
		{listen.Listener{Name: "pprof", Option: "pprof_addr", At: o.PprofAddr}, s.httpServer(listen.Working, profiler())},
		s.listenNode(),
	} {
		if l.At == "" {
			continue
		}
		l.Log = s.log
		if o.ProxyProtocol && slices.Contains([]string{"rtmp", "rtmps", "http-flv", "hls", "https"}, l.Name) {
			l.Fronts = func() []netip.Prefix { return s.now().opt.TrustedProxies }
		}
		if l.Limits == nil {
			l.Limits = s.limits
		}
		if err := l.Open(); err != nil {
			return err
		}
		s.listeners = append(s.listeners, l)
	}
	return s.openHTTP3()
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	if s.http3 != nil {
		s.http3.Close()
	}
}

// Addrs returns the addresses that the server listens on, by the names rtmp, rtmps, http-flv, hls,
// https, redirect, api, metrics, pprof and cluster.
func (s *Server) Addrs() map[string]net.Addr {
	addrs := make(map[string]net.Addr)
	for _, l := range s.listeners {
		addrs[l.Name] = l.Addr()
	}
	return addrs
}

// Run serves until ctx ends, then lets what is on its way reach its viewers, at most for
// DrainTimeout, and returns nil. It returns an error when a listener breaks. It is called once.
func (s *Server) Run(ctx context.Context) error {
	broken := make(chan error, len(s.listeners)+1)
	var serving sync.WaitGroup
	for _, l := range s.listeners {
		s.log.Info("listening", "protocol", l.Name, "addr", l.Addr().String(), "tls", l.Secure)
		serving.Go(func() {
			if err := l.serve(l); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				broken <- fmt.Errorf("%s listener: %w", l.Name, err)
			}
		})
	}
	if s.http3 != nil {
		s.log.Info("listening", "protocol", "hls over HTTP/3", "addr", s.http3.Addr().String(), "tls", true)
		serving.Go(func() { s.http3.Serve(s.ctx) })
	}
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		s.sessions.sample(s.ctx, func() {
			s.out.sample(s.bytesOut())
			s.lines.report(s.ctx, time.Now())
		})
	}()

	if s.issuer != nil {
		go s.issuer.Prepare(s.outCtx) // nobody waits for it: nothing ends a talk with the authority but its end, which is near
	}
	s.teller.tell(s.now().hooks.dispatcher)
	told := make(chan struct{})
	go func() {
		defer close(told)
		s.resources.Run(s.ctx)
	}()
	joined := s.joinCluster(broken)
	s.restoreRelays()
	s.ready.Store(true)
	s.events.Emit(event.Event{Type: event.ServerStarted, Data: started{s.opt.Version}})
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("shutting down", "reason", fmt.Sprint(context.Cause(ctx)))
	case why := <-s.leaving:
		s.log.Info("shutting down", "reason", cmp.Or(why, "the API says so"))
	case err = <-broken:
	}
	s.drain()
	joined()
	serving.Wait()
	<-sampled
	<-told
	return err
}

// endItself lets Run end as its context does. It does not wait.
func (s *Server) endItself(why string) {
	select {
	case s.leaving <- why:
	default: // it ends already
	}
}

// drain ends everything in the order in which viewers lose least: no new connections, HLS without
// ENDLIST (its viewers go on after a restart), streams to their last byte, then whatever is left.
func (s *Server) drain() {
	begin := time.Now()
	s.endReloads()
	limit := s.now().opt.DrainTimeout
	s.ready.Store(false)
	s.events.Emit(event.Event{Type: event.ServerDraining})
	defer func() { s.closeHooks(begin.Add(limit)) }()
	to := ""
	if s.node != nil {
		to = s.node.drain()
		s.node.handOverAll(limit/2, s.now().opt.DrainPublishers)
		begin = time.Now()
	}
	<-time.After(min(s.now().opt.DrainDelay, limit/2))
	s.closeListeners()
	s.outCancel()
	s.writers.Wait()
	s.closeDisk(begin.Add(limit / 2))
	s.sessions.announce(to, limit/10)
	s.sessions.closeAll()
	s.hub.Close()
	s.relays.Close()
	s.sessions.awaitPlayers(begin.Add(limit * 4 / 5))
	s.cancel(&rtmp.StatusError{Code: rtmp.CodeConnectAppShutdown, Description: "The server is shutting down.", Err: errShutdown})
	cut := time.AfterFunc(time.Until(begin.Add(limit)), s.limits.CloseAll)
	defer cut.Stop()
	s.conns.Wait()
	s.fanout.Wait()
}

// app returns a configured application.
func (s *Server) app(name string) (App, bool) {
	a, ok := s.now().access.apps[name]
	return a, ok
}

// appNames lists the configured applications, for messages.
func (s *Server) appNames() []string { return slices.Sorted(maps.Keys(s.now().access.apps)) }

// tasks are goroutines that the end of the server waits for.
type tasks struct {
	wg sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// Go starts f, unless the end of the server has got past waiting for such goroutines.
func (t *tasks) Go(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(f)
	return true
}

// Wait lets no more begin, and waits for those that run.
func (t *tasks) Wait() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.wg.Wait()
}
