package server

import (
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
	defaultPlayWait     = 10 * time.Second
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
	ready    atomic.Bool  // the listeners are served
	streams  http.Handler // the list of the HTTP-FLV port
	sessions *registry
	events   *event.Bus
	limits   *connLimits
	metrics  *metrics.Metrics
	issuer   *issuer // nil: certificates come from files
	// refused counts publishers by reason, handshakes connections that failed.
	refused    tally[string]
	handshakes tally[handshake]

	resources *v1.API
	reloading sync.Mutex
	ended     bool // no reload begins any more; guarded by reloading

	listeners []*listener
	http3     *http3Listener  // nil: off
	ctx       context.Context // of all connections; ends when they must be gone
	cancel    context.CancelCauseFunc
	teller    *teller
	relays    *relay.Relays
	archive   *record.Archive  // nil: off
	recorder  *record.Recorder // nil: off
	outputs   []output
	sources   []source
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
	figures := metrics.New(metrics.Options{Version: opt.Version, Streams: opt.MetricsStreams, Read: func() *metrics.Figures { return s.figures() }})
	opt.Keys = measuredKeys{opt.Keys, figures.KeysAsked}
	s = &Server{
		opt: opt, log: opt.Log, metrics: figures, lines: lines,
		events: event.NewBus(event.Options{Boot: newID()}),
		limits: newConnLimits(opt.MaxConnections, opt.MaxConnectionsPerAddr, maxFiles()),
	}
	s.sessions = newRegistry(s.events)
	s.streams = api.StreamsHandler(s)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.outCtx, s.outCancel = context.WithCancel(s.ctx)
	s.fanout = fanout.New(fanout.Options{
		GOPs: opt.GOPNum, Memory: opt.StreamMemory, PlayerLag: opt.PlayerLag, WriteTimeout: opt.WriteTimeout,
		MinBatch: opt.MinBatchDelay, MaxBatch: opt.MaxBatchDelay, Body: flv.AppendBody,
		NoRings: opt.NoIOURing, Latency: s.metrics.Delivered,
	})
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
	if err := s.openRecorder(); err != nil {
		s.closeDisk(time.Now().Add(opt.DrainTimeout))
		s.cancel(err)
		return nil, err
	}
	s.hls = hls.NewServer(hls.Options{
		SegmentDuration: opt.HLSSegmentDuration, PartDuration: opt.HLSPartDuration, ListSize: opt.HLSListSize, KeepAfterEnd: opt.HLSKeepAfterEnd,
		NoCMAF: opt.HLSNoCMAF, WriteTimeout: httpWriteTimeout, ReturnWait: opt.RepublishGrace, Bring: s.bringHLS, Admit: s.viewerFitsHLS, Spool: s.spool, Ledger: s.ledger, PartDelay: s.metrics.Published, Log: opt.Log,
		Recorder: s.tap(),
	})
	s.outputs = []output{s.outputHLS, s.outputPush, s.outputCommands}
	if opt.FLVArchiveDir != "" {
		s.archive = record.NewArchive(opt.FLVArchiveDir, flv.AppendBody, s.events, s.log)
		s.outputs = append(s.outputs, s.outputFLV)
	}
	if err := s.openNode(); err != nil {
		s.cancel(err)
		return nil, err
	}
	s.watch = s.newWatch(built)
	s.hub = live.NewHub(live.Options{
		Log: opt.Log, GOPs: opt.GOPNum, Memory: opt.StreamMemory, Grace: opt.RepublishGrace, NoTakeover: opt.NoTakeover,
		OnStream: s.begin, Notify: s.tell,
	})
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

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for d, value := range map[*time.Duration]time.Duration{
		&o.ReadTimeout: defaultReadTimeout, &o.WriteTimeout: defaultWriteTimeout,
		&o.PlayWait: defaultPlayWait, &o.DrainTimeout: defaultDrainTimeout,
	} {
		if *d == 0 {
			*d = value
		}
	}
	return o
}

// listen opens the listeners that have an address.
func (s *Server) listen() error {
	o := &s.opt
	s.issuer = newIssuer(o.ACME, s.log)
	rtmps := certificate{issuer: s.issuer, option: "rtmps_cert/rtmps_key", cert: o.RTMPSCert, key: o.RTMPSKey, given: o.TLSConfig}
	https := certificate{issuer: s.issuer, option: "https_cert/https_key", cert: o.HTTPSCert, key: o.HTTPSKey, given: o.TLSConfig}
	for _, l := range []*listener{
		{name: "rtmp", option: "rtmp_addr", addr: o.RTMPAddr, secure: o.RTMPTLS, cert: rtmps, serve: s.serveRTMP},
		{name: "rtmps", option: "rtmps_addr", addr: o.RTMPSAddr, secure: true, cert: rtmps, serve: s.serveRTMP},
		{name: "http-flv", option: "httpflv_addr", addr: o.FLVAddr, secure: o.FLVTLS, cert: https, serve: s.httpServer(watching, http.HandlerFunc(s.serveFLV))},
		{name: "hls", option: "hls_addr", addr: o.HLSAddr, secure: o.HLSTLS, multiplexed: true, cert: https, serve: s.serveBrowsers(s.serveHLS)},
		{name: "https", option: "https_addr", addr: o.HTTPSAddr, secure: true, multiplexed: true, cert: https, serve: s.serveBrowsers(s.serveHTTPS)},
		{name: "redirect", option: "http_redirect_addr", addr: o.HTTPRedirectAddr, serve: s.httpServer(watching, s.redirect())},
		{name: "api", option: "api_addr", addr: o.APIAddr, serve: s.httpServer(working, http.HandlerFunc(s.serveAPI))},
		{name: "metrics", option: "metrics_addr", addr: o.MetricsAddr, serve: s.httpServer(working, scrapes(s.metrics.Handler()))},
		{name: "pprof", option: "pprof_addr", addr: o.PprofAddr, serve: s.httpServer(working, profiler())},
		s.listenNode(),
	} {
		if l.addr == "" {
			continue
		}
		l.log = s.log
		if o.ProxyProtocol && slices.Contains([]string{"rtmp", "rtmps", "http-flv", "hls", "https"}, l.name) {
			l.fronts = func() []netip.Prefix { return s.now().opt.TrustedProxies }
		}
		if l.limits == nil {
			l.limits = s.limits
		}
		if err := l.open(); err != nil {
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
		addrs[l.name] = l.Addr()
	}
	return addrs
}

// Run serves until ctx ends, then lets what is on its way reach its viewers, at most for
// DrainTimeout, and returns nil. It returns an error when a listener breaks. It is called once.
func (s *Server) Run(ctx context.Context) error {
	broken := make(chan error, len(s.listeners)+1)
	var serving sync.WaitGroup
	for _, l := range s.listeners {
		s.log.Info("listening", "protocol", l.name, "addr", l.Addr().String(), "tls", l.secure)
		serving.Go(func() {
			if err := l.serve(l); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				broken <- fmt.Errorf("%s listener: %w", l.name, err)
			}
		})
	}
	if s.http3 != nil {
		serving.Go(func() { s.http3.serve(s.ctx) })
	}
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		s.sessions.sample(s.ctx, func() { s.lines.report(s.ctx, time.Now()) })
	}()

	if s.issuer != nil {
		go s.issuer.prepare(s.outCtx) // nobody waits for it: nothing ends a talk with the authority but its end, which is near
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
	case err = <-broken:
	}
	s.drain()
	joined()
	serving.Wait()
	<-sampled
	<-told
	return err
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
	cut := time.AfterFunc(time.Until(begin.Add(limit)), s.limits.closeAll)
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
