// Package server joins the protocols: it owns the listeners and the sessions, and is the only
// package that knows two protocols.
package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/keys"
	"livego/internal/listen"
	"livego/internal/record"
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

// Options configures a Server. The zero value of a field means the documented default where one is
// named.
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
	// MetricsStreams (200; negative: none) is how many streams have metrics of their own.
	MetricsStreams int
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
	// JWTSecret and JWTAlgorithm (HS256, HS384, HS512) protect the API. APIAllow filters its
	// clients by address; empty: loopback without a secret, everyone with one. APIOrigins lists
	// origins that browsers may call it from.
	JWTSecret, JWTAlgorithm string
	APIAllow                []netip.Prefix
	APIOrigins              []string

	// ReadTimeout (10 s) bounds handshakes, HTTP requests, the time before publish or play, and a
	// publisher's silence.
	ReadTimeout time.Duration
	// WriteTimeout (10 s) bounds the time for which a player takes nothing although bytes are
	// pending.
	WriteTimeout time.Duration
	// PlayWait (10 s; negative: none) is how long an RTMP player waits for its stream.
	PlayWait time.Duration
	// RepublishGrace (10 s; negative: none) is how long a stream outlives a lost publisher.
	RepublishGrace time.Duration
	// DrainTimeout (5 s) bounds the time that Run takes to end.
	DrainTimeout time.Duration
	// DrainDelay (none) is how long a server that ends goes on taking clients after it has said
	// that it ends, at most half of DrainTimeout: so long those who send them may take to hear of
	// it.
	DrainDelay time.Duration
	// NoTakeover refuses a second publisher of a stream instead of letting it replace the first.
	NoTakeover bool

	// GOPNum is how many GOPs a joining player gets; 0: it waits for the next key frame.
	GOPNum int
	// StreamMemory (64 MiB) bounds the ring of one stream, in bytes.
	StreamMemory int
	// PlayerLag (5 s) is how far a player may fall behind before it jumps.
	PlayerLag time.Duration
	// MaxBatchDelay bounds the time for which delivery waits to save CPU under load; 0: one write
	// per picture.
	MaxBatchDelay time.Duration
	// MinBatchDelay is how long delivery waits at least between two writes, whatever the load.
	MinBatchDelay time.Duration
	// NoIOURing keeps delivery from using io_uring.
	NoIOURing bool

	// HLSSegmentDuration (3 s) is the least length of a segment, HLSListSize (3) the number of
	// segments in a playlist.
	HLSSegmentDuration time.Duration
	HLSListSize        int
	// HLSPartDuration (200 ms) is about the length of a part of Low-Latency HLS.
	HLSPartDuration time.Duration
	// HLSHTTP3 serves HLS over HTTP/3 too, on the UDP port with the number of HTTPSAddr's, or of
	// HLSAddr's with HLSTLS.
	HLSHTTP3 bool
	// HLSNoLoop leaves all requests for HLS to net/http, also those that players make again and
	// again.
	HLSNoLoop bool
	// HLSNoCMAF packages MPEG-TS only.
	HLSNoCMAF bool
	// HLSOnDemand packages a stream only while somebody watches it over HLS, with each of MPEG-TS
	// and CMAF for itself. Streams with rewinding or recordings have CMAF always, and with
	// HLSKeepAfterEnd all have both.
	HLSOnDemand bool
	// HLSKeepAfterEnd keeps an ended playlist until the next session of the stream.
	HLSKeepAfterEnd bool
	// NoStreamList leaves /streams of FLVAddr out, the list of streams that LiveGo has there.
	NoStreamList bool
	// PublicStatus lists at / of HLSAddr what is on air. FrameOrigins are the web origins whose
	// pages may show the pages there in a frame, "*" for all.
	PublicStatus bool
	FrameOrigins []string
	// MediaOrigins are the web origins whose pages may play, "*" for all, which nil stands for too.
	MediaOrigins []string
	// HLSDVRWindow is for how long segments stay in playlists, from disk; 0: as long as HLSListSize
	// says, from memory. They are below HLSDVRDir and take at most HLSDVRMaxBytes (10 GiB).
	HLSDVRWindow   time.Duration
	HLSDVRDir      string
	HLSDVRMaxBytes int64

	// HLSLedger is a file that keeps the numbers of HLS segments over restarts; empty: nothing
	// does.
	HLSLedger string

	// TrustedProxies are believed when they say in X-Forwarded-For whom they speak for, on all HTTP
	// ports.
	TrustedProxies []netip.Prefix
	// ProxyProtocol lets them say it by the PROXY protocol too, on the ports for publishers and
	// viewers.
	ProxyProtocol bool
	// FLVArchiveDir is the folder in which every publication is recorded as FLV; empty: nothing is.
	FLVArchiveDir string
	// Record says how streams are recorded for which App.Record asks.
	Record RecordOptions
	// RelaysFile keeps the relays that were begun by the API over restarts; empty: nothing does.
	// InsecureTLS does not check the certificates of servers that this one pushes to or pulls from.
	RelaysFile  string
	InsecureTLS bool
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
	// MaxMessageSize (8 MiB) bounds an RTMP message, in bytes.
	MaxMessageSize int
}

// servesHLS says whether there is a port for HLS.
func (o *Options) servesHLS() bool { return o.HLSAddr != "" || o.HTTPSAddr != "" }
