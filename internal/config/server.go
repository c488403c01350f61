package config

import (
	"cmp"
	"path/filepath"
	"time"

	"livego/internal/cluster"
	"livego/internal/event"
	"livego/internal/keys"
	"livego/internal/listen"
	"livego/internal/record"
	"livego/internal/server"
)

// ServerOptions returns the options of the server. Log, Version, Keys and the registry of a cluster
// are left to the caller.
func (c Config) ServerOptions() server.Options {
	return server.Options{
		RTMPAddr:  c.RTMPAddr,
		RTMPSAddr: c.RTMPSAddr,
		FLVAddr:   c.FLVAddr,
		HLSAddr:   c.HLSAddr,
		APIAddr:   c.APIAddr,
		PprofAddr: c.PprofAddr,

		HTTPSAddr:        c.HTTPSAddr,
		HTTPRedirectAddr: c.HTTPRedirectAddr,
		ACME: listen.ACME{
			Domains: c.ACMEDomains, Email: c.ACMEEmail, Directory: c.ACMEDirectory, Cache: filepath.Join(c.DataDir, "acme"),
		},

		MetricsAddr:    c.MetricsAddr,
		MetricsStreams: orNone(c.MetricsStreams),

		RTMPTLS:   c.EnableRTMPS,
		FLVTLS:    c.UseFLVHTTPS,
		HLSTLS:    c.UseHLSHTTPS,
		RTMPSCert: c.RTMPSCert,
		RTMPSKey:  c.RTMPSKey,
		HTTPSCert: c.HTTPSCert,
		HTTPSKey:  c.HTTPSKey,

		Apps:         c.serverApps(),
		NoAuth:       c.RTMPNoAuth,
		JWTSecret:    c.JWTSecret.Reveal(),
		JWTAlgorithm: c.JWTAlgorithm,
		APIAllow:     c.APIAllow,
		APIOrigins:   c.APIOrigins,

		ReadTimeout:    c.ReadTimeout,
		WriteTimeout:   c.WriteTimeout,
		PlayWait:       orNone(c.PlayWait),
		RepublishGrace: orNone(c.RepublishGrace),
		DrainTimeout:   c.DrainTimeout,
		DrainDelay:     c.DrainDelay,
		NoTakeover:     !c.Takeover,

		GOPNum:        c.GOPNum,
		StreamMemory:  c.StreamMemory,
		PlayerLag:     c.PlayerLag,
		MaxBatchDelay: c.MaxBatchDelay,
		MinBatchDelay: c.MinBatchDelay,
		NoIOURing:     !c.IOURing,

		HLSSegmentDuration: c.HLSSegmentDuration,
		HLSPartDuration:    c.HLSPartDuration,
		HLSHTTP3:           c.HLSHTTP3,
		HLSNoLoop:          !c.HLSFastHTTP,
		HLSListSize:        c.HLSListSize,
		HLSNoCMAF:          !c.HLSCMAF,
		HLSOnDemand:        c.HLSOnDemand,
		HLSKeepAfterEnd:    c.HLSKeepAfterEnd,
		HLSDVRWindow:       c.HLSDVRWindow,
		HLSDVRDir:          filepath.Join(c.DataDir, "hls"),
		HLSDVRMaxBytes:     int64(c.HLSDVRMaxBytes),
		HLSLedger:          filepath.Join(c.DataDir, "hls.ledger"),
		NoStreamList:       !c.FLVStreams,
		PublicStatus:       c.PublicStatus,
		FrameOrigins:       c.FrameOrigins,
		MediaOrigins:       append([]string{}, c.MediaOrigins...),

		RelaysFile:    filepath.Join(c.DataDir, "relays.json"),
		InsecureTLS:   !c.EnableTLSVerify,
		FLVArchiveDir: c.archiveDir(),
		Record:        c.record(),
		Hooks:         c.hooks(),

		Tickets:           c.TicketOptions(),
		ViewerSharedCache: c.ViewerSharedCache,
		RevokedFile:       filepath.Join(c.DataDir, "revoked.json"),
		Cluster:           c.cluster(),

		TrustedProxies:        c.TrustedProxies,
		ProxyProtocol:         c.ProxyProtocol,
		MaxStreams:            c.MaxStreams,
		MaxViewers:            c.MaxViewers,
		MaxConnections:        c.MaxConnections,
		MaxConnectionsPerAddr: c.MaxConnectionsPerAddr,
		MaxMessageSize:        c.MaxMessageSize,
	}
}

// cluster are the options of a node, but for its registry and for a name that is not given; its
// text parsed before.
func (c Config) cluster() server.ClusterOptions {
	if c.ClusterAddr == "" {
		return server.ClusterOptions{}
	}
	secret, _ := cluster.ParseSecret(c.ClusterSecret.Reveal())
	return server.ClusterOptions{
		Addr: c.ClusterAddr, Advertise: c.ClusterAdvertise, ID: c.NodeID, Region: c.Region, Secret: secret,
		PublicURL: c.PublicURL, Cert: c.ClusterCert, Key: c.ClusterKey, CA: c.ClusterCA, Idle: c.ClusterIdle,
		EdgeBytes: int64(c.EdgeCacheBytes), RedirectAbove: float64(c.RedirectAbove) / 100, EgressLimit: int64(c.EgressLimit) * 1_000_000,
	}
}

// archiveDir is where FLV files go, empty if nothing is recorded.
func (c Config) archiveDir() string {
	if !c.FLVArchive {
		return ""
	}
	return c.FLVDir
}

// record are the options of recordings; their texts parsed before.
func (c Config) record() server.RecordOptions {
	name, _ := record.ParseTemplate(c.RecordName)
	return server.RecordOptions{
		Dir: filepath.Join(c.DataDir, "record"), To: c.RecordTo, Name: name,
		Join: c.RecordJoin, Keep: c.RecordKeep, MaxSpoolBytes: int64(c.RecordSpoolBytes),
	}
}

// hooks are the options of hooks; their texts parsed before.
func (c Config) hooks() server.HookOptions {
	secrets, _ := parseSecrets(c.HookSecret.Reveal())
	o := server.HookOptions{
		URLs: c.HookURLs, Secrets: secrets, Timeout: c.HookTimeout, SRS: c.HookFormat == "srs",
		PublishURL: c.PublishAuthURL, ViewURL: c.ViewerAuthURL, AllowOnFailure: c.HookFail == "allow",
	}
	for _, name := range c.HookEvents {
		o.Events = append(o.Events, event.Type(name))
	}
	return o
}

// KeysOptions returns the options of the store of channel keys, but for its log.
func (c Config) KeysOptions() keys.Options {
	return keys.Options{
		RedisAddr: c.RedisAddr, RedisPassword: c.RedisPassword.Reveal(), RedisPrefix: c.RedisPrefix, CacheTime: c.KeyCache,
	}
}

// orNone says "not at all" in the server's words, where 0 is the default.
func orNone[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// commandsOf are the commands beside the streams of an app.
func (c Config) commandsOf(a App) [][]string {
	if a.RunOnStream != nil {
		return a.RunOnStream
	}
	return c.RunOnStream
}

func (c Config) serverApps() []server.App {
	apps := make([]server.App, len(c.Apps))
	for i, a := range c.Apps {
		apps[i] = server.App{
			Name: a.Name, Live: a.Live, HLS: a.HLS, FLV: a.FLV, API: a.API, StaticPush: a.StaticPush,
			RunOnStream: c.commandsOf(a), Pull: a.Pull, PullIdle: cmp.Or(a.PullIdle, defaultPullIdle),
			ViewerAuth: viewerAuth(c.viewerAuthOf(a)), MaxStreams: a.MaxStreams, MaxViewers: a.MaxViewers, PublishLimits: c.limitsOf(a),
			Publishers: server.Networks{Allow: a.PublishAllow, Deny: a.PublishDeny}, Viewers: server.Networks{Allow: a.PlayAllow, Deny: a.PlayDeny},
			Record: record.Mode(cmp.Or(a.Record, c.Record)),
		}
	}
	return apps
}
