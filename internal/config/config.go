// Package config turns command line flags, the environment and a file into the options of the
// server.
//
// Stronger sources win: a flag over the environment, the environment over the file, the file over
// the default. One table (options.go) says for every option how it is called, what it defaults to
// and what it means; the flags, the environment, the file reader, the help text and the sample file
// all follow from it. The package holds no state: everything comes in through Sources.
package config

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"livego/internal/server"
	"livego/internal/ticket"
)

// Config is a checked configuration. Each field belongs to the option of the same name in the
// table.
type Config struct {
	// File is the configuration file that was read, empty if none was.
	File string

	Level        slog.Level
	LogFormat    string
	DataDir      string
	DrainTimeout time.Duration
	DrainDelay   time.Duration

	RTMPAddr, RTMPSAddr   string
	EnableRTMPS           bool
	RTMPSCert, RTMPSKey   string
	RTMPNoAuth            bool
	ReadTimeout           time.Duration
	WriteTimeout          time.Duration
	MaxMessageSize        int
	EnableTLSVerify       bool
	FLVAddr               string
	UseFLVHTTPS           bool
	FLVStreams            bool
	HLSAddr               string
	UseHLSHTTPS           bool
	HLSHTTP3              bool
	HLSFastHTTP           bool
	HTTPSAddr             string
	HTTPRedirectAddr      string
	ACMEDomains           []string
	ACMEEmail             string
	ACMEDirectory         string
	HTTPSCert, HTTPSKey   string
	HLSSegmentDuration    time.Duration
	HLSPartDuration       time.Duration
	HLSListSize           int
	HLSCMAF               bool
	HLSOnDemand           bool
	HLSKeepAfterEnd       bool
	HLSDVRWindow          time.Duration
	HLSDVRMaxBytes        int
	PublicStatus          bool
	FrameOrigins          []string
	MediaOrigins          []string
	APIAddr               string
	MetricsAddr           string
	MetricsStreams        int
	PprofAddr             string
	JWTSecret             Secret
	JWTAlgorithm          string
	APIAllow              []netip.Prefix
	APIOrigins            []string
	RedisAddr             string
	RedisPassword         Secret
	RedisPrefix           string
	KeyCache              time.Duration
	ClusterAddr           string
	ClusterAdvertise      string
	ClusterSecret         Secret
	ClusterCert           string
	ClusterKey            string
	ClusterCA             string
	NodeID                string
	PublicURL             string
	Region                string
	RedirectAbove         int
	EgressLimit           int
	ClusterIdle           time.Duration
	EdgeCacheBytes        int
	GOPNum                int
	Takeover              bool
	PlayWait              time.Duration
	RepublishGrace        time.Duration
	StreamMemory          int
	PlayerLag             time.Duration
	MaxBatchDelay         time.Duration
	MinBatchDelay         time.Duration
	IOURing               bool
	TrustedProxies        []netip.Prefix
	ProxyProtocol         bool
	MaxConnections        int
	MaxConnectionsPerAddr int
	HookURLs              []string
	HookSecret            Secret
	HookEvents            []string
	HookTimeout           time.Duration
	HookFormat            string
	PublishAuthURL        string
	HookFail              string
	ViewerAuth            string
	ViewerKeys            []ViewerKey
	ViewerSessionMax      time.Duration
	ViewerSharedCache     bool
	ViewerAuthURL         string
	MaxStreams            int
	MaxViewers            int
	PublishLimits         server.PublishLimits
	RunOnStream           [][]string
	FLVArchive            bool
	FLVDir                string
	Record                string
	RecordTo              string
	RecordName            string
	RecordJoin            time.Duration
	RecordKeep            time.Duration
	RecordSpoolBytes      int

	Apps []App

	raw *written
}

// written are the options as they were written, by key. Once loaded it never changes. A Config
// points to it, so that its secrets are not printed with one: fields that are not exported print as
// they are.
type written map[string]string

// App is one entry of the server list.
type App struct {
	Name string
	// Live, HLS, FLV and API are false where the entry does not name them, as in LiveGo.
	Live, HLS, FLV, API bool
	StaticPush          []string
	// ViewerAuth is that of the app; empty: that of the server.
	ViewerAuth string
	// RunOnStream is that of the app; nil: that of the server.
	RunOnStream [][]string
	// Pull is the URL of streams that are pulled on demand, PullIdle how long they stay without
	// viewers.
	Pull     string
	PullIdle time.Duration
	// PublishAllow and the like are networks, MaxStreams and MaxViewers bounds of the app; 0: none.
	PublishAllow, PublishDeny, PlayAllow, PlayDeny []netip.Prefix
	MaxStreams, MaxViewers                         int
	// PublishLimits are written limits by name, where they differ from those of the server.
	PublishLimits map[string]string
	// Record is as the option of that name, empty for what that says.
	Record string
}

// Secret is a text that prints as a placeholder wherever it goes by accident: logs, errors, JSON.
type Secret string

// String hides the secret, and says only whether there is one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// KeysFile is where the channel keys are stored when no Redis is configured.
func (c Config) KeysFile() string { return filepath.Join(c.DataDir, "livego.db") }

// LogValue lists all options, without secrets.
func (c Config) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, len(options)+2)
	attrs = append(attrs, slog.String("file", c.File))
	for _, o := range options {
		attrs = append(attrs, slog.String(o.key, o.bind(&c).print()))
	}
	names := make([]string, len(c.Apps))
	for i, app := range c.Apps {
		names[i] = app.Name
	}
	attrs = append(attrs, slog.String("server", strings.Join(names, ",")))
	return slog.GroupValue(attrs...)
}

// CheckFiles loads the certificates and the keys for viewers' tokens that the configuration needs,
// so that a bad one is reported under the option's name.
func (c Config) CheckFiles() error {
	made := len(c.ACMEDomains) > 0 // certificates are made
	pairs := []struct {
		needed              bool
		certFile, keyFile   string
		needs, cert, keyKey string
	}{
		{!made && (c.EnableRTMPS || c.RTMPSAddr != ""), c.RTMPSCert, c.RTMPSKey, "enable_rtmps or rtmps_addr", "rtmps_cert", "rtmps_key"},
		{c.ClusterCert != "", c.ClusterCert, c.ClusterKey, "TLS between the servers", "cluster_cert", "cluster_key"},
		{!made && (c.HTTPSAddr != "" || c.UseHLSHTTPS || c.UseFLVHTTPS), c.HTTPSCert, c.HTTPSKey, "https_addr, use_hls_https or use_flv_https", "https_cert", "https_key"},
	}
	for _, p := range pairs {
		if !p.needed {
			continue
		}
		if _, err := tls.LoadX509KeyPair(p.certFile, p.keyFile); err != nil {
			return fmt.Errorf("%s needs the PEM files of %s and %s: %w", p.needs, p.cert, p.keyKey, err)
		}
	}
	if _, err := ticket.New(c.TicketOptions()); err != nil {
		return fmt.Errorf("viewer_keys: %w", err)
	}
	return nil
}
