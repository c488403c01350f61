// Package server joins the protocols: it owns the listeners and the sessions, and is the only
// package that knows two protocols.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/auth"
	"livego/internal/fanout"
	"livego/internal/flv"
	"livego/internal/hls"
	"livego/internal/keys"
	"livego/internal/listen"
	"livego/internal/live"
	"livego/internal/metrics"
	"livego/internal/record"
	"livego/internal/rtmp"
	"livego/internal/spool"
	"livego/internal/ticket"
)

// App is one configured application: the first element of every URL.
type App struct {
	Name string
	// Live allows RTMP publishing and playing, HLS and FLV serve the app on their ports, API is
	// kept for LiveGo's files.
	Live, HLS, FLV, API bool
	// StaticPush lists RTMP URLs without the stream name to which every stream of the app is
	// pushed.
	StaticPush []string
	// RunOnStream are commands that run beside each stream of the app, each a program and its
	// arguments. {app}, {stream}, {rtmp_url}, {flv_url} and {publish_url} in them are filled in,
	// and {poster_url}, to which a JPEG of the stream is sent.
	RunOnStream [][]string
	// Pull is the URL from which a stream is pulled that somebody wants to watch and nobody
	// publishes, with {stream} for its name, or without it: rtmp, rtmps, or http or https (HLS, if
	// it ends with .m3u8, or FLV). PullIdle is for how long nobody watches until the pull ends.
	Pull     string
	PullIdle time.Duration
	// ViewerAuth says who may watch.
	ViewerAuth ViewerAuth
	// Publishers and Viewers are the addresses that may publish and watch.
	Publishers, Viewers Networks
	// MaxStreams and MaxViewers bound the streams of the app that are on air, and who watches them;
	// 0: no bound.
	MaxStreams, MaxViewers int
	// PublishLimits are those of its publishers.
	PublishLimits PublishLimits
	// Record says which of its streams are recorded; empty: none.
	Record record.Mode
}

// ViewerAuth says who may watch the streams of an app.
type ViewerAuth uint8

const (
	// AllViewers may watch.
	AllViewers ViewerAuth = iota
	// ViewersWithToken may: a token that Options.Tickets checks.
	ViewersWithToken
	// ViewersByHook may, if Options.Hooks.ViewURL says so.
	ViewersByHook
)

// Networks are addresses by where they may be. An address that is denied is not allowed; if any are
// allowed, all others are not.
type Networks struct{ Allow, Deny []netip.Prefix }

// admit says whether an address may.
func (n Networks) admit(addr netip.Addr) bool {
	in := func(p netip.Prefix) bool { return p.Contains(addr) }
	return !slices.ContainsFunc(n.Deny, in) && (len(n.Allow) == 0 || slices.ContainsFunc(n.Allow, in))
}

func (n Networks) all() bool { return len(n.Allow) == 0 && len(n.Deny) == 0 }

// Options configures a Server. A field holds what the option of the configuration says: a switch is
// on when it is true, and 0 is none where the option has it so. Where 0 would make no sense it
// stands for the default in parentheses.
//
// What belongs to one package is in the options of that package; the Server fills in the rest of
// them. Options that several need stand where they are named first: Memory and GOPs of Live hold
// for Fanout, WriteTimeout of Fanout and ReadTimeout of RTMP for all connections.
type Options struct {
	Log *slog.Logger
	// Version is shown in logs, in the API and to RTMP peers.
	Version string

	// RTMPAddr, RTMPSAddr, FLVAddr, HLSAddr, APIAddr, MetricsAddr and PprofAddr are listen
	// addresses; an empty one switches the listener off. MetricsAddr serves /metrics to everybody
	// who reaches it. Programs on this machine that reach PprofAddr may look into the process.
	RTMPAddr, RTMPSAddr, FLVAddr, HLSAddr, APIAddr, MetricsAddr, PprofAddr string
	// HTTPSAddr serves HLS, its pages, HTTP-FLV and WebSocket-FLV over TLS, beside the ports of
	// their own. HTTPRedirectAddr leads to it who comes without TLS.
	HTTPSAddr, HTTPRedirectAddr string
	// ACME has certificates made, for all ports with TLS, in place of those in files.
	ACME listen.ACME
	// Metrics says how many streams have metrics of their own.
	Metrics metrics.Options
	// RTMPTLS makes RTMPAddr speak TLS only. FLVTLS and HLSTLS do the same for theirs.
	RTMPTLS, FLVTLS, HLSTLS bool
	// RTMPSCert, RTMPSKey are PEM files for RTMPS; HTTPSCert, HTTPSKey for HTTPSAddr, FLVTLS and
	// HLSTLS. They are read again when they change.
	RTMPSCert, RTMPSKey, HTTPSCert, HTTPSKey string
	// TLSConfig, if set, is used instead of files (tests).
	TLSConfig *tls.Config

	Apps []App

	// Keys holds the channel keys. The server does not close it.
	Keys keys.Store
	// NoAuth accepts any publish name as the stream's name.
	NoAuth bool
	// API says who may call the API.
	API auth.APIOptions

	// RTMP has ReadTimeout, which bounds HTTP requests too, and MaxMessageSize.
	RTMP rtmp.ServerOptions
	// Live has GOPs, Memory, Grace and Takeover of streams.
	Live live.Options
	// Fanout has PlayerLag, WriteTimeout, MinBatch, MaxBatch and Rings of delivery.
	Fanout fanout.Options
	// HLS has SegmentDuration, PartDuration, ListSize, CMAF, Joined, KeepAfterEnd and ReturnWait.
	HLS hls.Options

	// PlayWait is how long an RTMP player waits for its stream; 0: not at all.
	PlayWait time.Duration
	// DrainTimeout (5 s) bounds the time that Run takes to end.
	DrainTimeout time.Duration
	// DrainDelay (none) is how long a server that ends goes on taking clients after it has said
	// that it ends, at most half of DrainTimeout: so long those who send them may take to hear of
	// it.
	DrainDelay time.Duration
	// DrainPublishers (none) is how long a node of a cluster that ends takes what its publishers
	// send, for the next homes of their streams, before DrainTimeout begins.
	DrainPublishers time.Duration

	// HLSHTTP3 serves HLS over HTTP/3 too, on the UDP port with the number of HTTPSAddr's, or of
	// HLSAddr's with HLSTLS.
	HLSHTTP3 bool
	// HLSLoop answers requests that HLS players make again and again in a loop of its own, where
	// the system has what that needs. Without it net/http answers all.
	HLSLoop bool
	// HLSOnDemand packages a stream only while somebody watches it over HLS, with each of MPEG-TS
	// and CMAF for itself. Streams with rewinding or recordings have CMAF always, and with
	// KeepAfterEnd of HLS all have both.
	HLSOnDemand bool
	// StreamList has FLVAddr answer /streams, the list of streams that LiveGo has there.
	StreamList bool
	// PublicStatus lists at / of HLSAddr what is on air. FrameOrigins are the web origins whose
	// pages may show the pages there in a frame, "*" for all.
	PublicStatus bool
	FrameOrigins []string
	// MediaOrigins are the web origins whose pages may play, "*" for all, which nil stands for too.
	MediaOrigins []string
	// Rewind says for how long segments stay in playlists, from disk: Window; 0: as long as
	// ListSize of HLS says, from memory. They are below Dir and take at most MaxBytes.
	Rewind spool.Options

	// HLSLedger is a file that keeps the numbers of HLS segments over restarts; empty: nothing
	// does.
	HLSLedger string

	// TrustedProxies are believed when they say in X-Forwarded-For whom they speak for, on all HTTP
	// ports.
	TrustedProxies []netip.Prefix
	// ProxyProtocol lets them say it by the PROXY protocol too, on the ports for publishers and
	// viewers.
	ProxyProtocol bool
	// FLVArchive records every publication as FLV, in the folder FLVDir.
	FLVArchive bool
	FLVDir     string
	// Record says how streams are recorded for which App.Record asks.
	Record record.Options
	// RelaysFile keeps the relays that were begun by the API over restarts; empty: nothing does.
	// VerifyTLS checks the certificates of servers that this one pushes to or pulls from.
	RelaysFile string
	VerifyTLS  bool
	// Tickets checks the tokens of viewers. ViewerSharedCache lets shared caches keep what was sent
	// to a viewer with a token.
	Tickets           ticket.Options
	ViewerSharedCache bool
	// RevokedFile keeps over restarts which of them are revoked; empty: nothing does.
	RevokedFile string
	// Hooks tell other systems what happens, and ask them.
	Hooks HookOptions

	// ShowConfig returns what the API shows of the configuration; nil: nothing.
	ShowConfig func() v1.Config
	// Cluster makes several servers one.
	Cluster ClusterOptions
	// ReloadConfig reads the configuration again, for the API, and calls Reload. It returns which
	// options have changed: those that were taken over, and those that need a new start. Nil: there
	// is none.
	ReloadConfig func(context.Context) (taken, left []string, err error)

	// MaxStreams and MaxViewers are those of all apps together.
	MaxStreams, MaxViewers int
	// MaxConnections and MaxConnectionsPerAddr bound open connections; 0: no bound.
	MaxConnections, MaxConnectionsPerAddr int
}

// servesHLS says whether there is a port for HLS.
func (o *Options) servesHLS() bool { return o.HLSAddr != "" || o.HTTPSAddr != "" }

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.RTMP.ReadTimeout = cmp.Or(o.RTMP.ReadTimeout, defaultReadTimeout)
	o.Fanout.WriteTimeout = cmp.Or(o.Fanout.WriteTimeout, defaultWriteTimeout)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, defaultDrainTimeout)
	return o
}

// metrics are the options of the metrics, read by a function.
func (o *Options) metrics(read func() *metrics.Figures) metrics.Options {
	m := o.Metrics
	m.Version, m.Read = o.Version, read
	return m
}

// rtmp are the options of RTMP connections; hint answers HTTP.
func (o *Options) rtmp(hint string) rtmp.ServerOptions {
	r := o.RTMP
	r.WriteTimeout, r.Version, r.HTTPHint, r.Reconnect = o.Fanout.WriteTimeout, o.Version, hint, true
	return r
}

func (s *Server) liveOptions() live.Options {
	o := s.opt.Live
	o.Log, o.OnPublication, o.Notify = s.log, s.begin, s.tell
	return o
}

func (s *Server) fanoutOptions() fanout.Options {
	o := s.opt.Fanout
	o.GOPs, o.Memory, o.Body, o.Latency = s.opt.Live.GOPs, s.opt.Live.Memory, flv.AppendBody, s.metrics.Delivered
	return o
}

func (s *Server) hlsOptions() hls.Options {
	o := s.opt.HLS
	o.WriteTimeout, o.Log = httpWriteTimeout, s.log
	o.Bring, o.Admit, o.Noted, o.PartDelay = s.bringHLS, s.viewerFitsHLS, s.noted, s.metrics.Published
	o.Spool, o.Ledger, o.Recorder = s.spool, s.ledger, s.tap()
	return o
}
