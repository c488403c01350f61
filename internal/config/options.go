package config

import (
	"math"
	"strings"
	"time"

	"livego/internal/redisconn"
)

// option describes one option everywhere it appears.
type option struct {
	// key is the name in the file, where a dot leads into a mapping, and with underscores the name
	// of the flag.
	key string
	// def is the default, written as a flag's value.
	def string
	// doc says what the option is for and in which unit, in one or more lines of at most 100
	// characters.
	doc  string
	bind func(*Config) value
	// reload says that a server which runs takes over a new value.
	reload bool
}

// flag is the option's name on the command line.
func (o option) flag() string { return strings.ReplaceAll(o.key, ".", "_") }

// env is the option's name in the environment.
func (o option) env() string { return strings.ToUpper(o.flag()) }

// topic is a heading of the help text and of the sample file, for the options from the one named
// first on.
type topic struct {
	first, title string
}

// configFile is the option that names the file, and so cannot stand in it.
const (
	configFile        = "config_file"
	defaultConfigFile = "livego.yaml"
)

var topics = []topic{
	{"level", "General"},
	{"rtmp_addr", "RTMP"},
	{"httpflv_addr", "HTTP-FLV and WebSocket-FLV"},
	{"hls_addr", "HLS"},
	{"https_cert", "HTTPS of the HLS and HTTP-FLV ports"},
	{"api_addr", "Control API"},
	{"redis_addr", "Channel keys"},
	{"cluster_addr", "Several servers as one"},
	{"gop_num", "Streams and players"},
	{"trusted_proxies", "Limits"},
	{"publish_max_bit_rate", "What publishers may send"},
	{"viewer_auth", "Viewers: who may watch"},
	{"hook_url", "Hooks: telling other systems, and asking them"},
	{"run_on_stream", "Commands and recording"},
}

// Bounds that keep a slip of the keyboard (milliseconds for seconds, bytes for megabytes) from
// starting a server that cannot work.
const (
	maxSegmentDuration = time.Minute
	minPartDuration    = 50 * time.Millisecond
	maxPartDuration    = 5 * time.Second
	maxListSize        = 1000
	maxMetricsStreams  = 10_000
	maxBatchDelay      = time.Second
	minStreamMemory    = 1 << 20
	// The segments that wait for the disk, and those of a minute.
	minDVRBytes = 64 << 20
	// A file that is kept may have 32 MiB.
	minEdgeBytes = 64 << 20
	// A key that was revoked while Redis was away is good for so long.
	maxKeyCache = 24 * time.Hour
	// A message before publish or play may have 64 KiB; RTMP's length field has 24 bits.
	minMessageSize = 64 << 10
	// What a publisher was gone for is listed as gaps of a segment's length each.
	maxRecordJoin  = time.Hour
	maxMessageSize = 1<<24 - 1
)

// options is the table of all scalar options and lists, by topic. The list of apps (server) has its
// own reader.
var options = []option{
	{key: "level", reload: true, def: "info", doc: "Least level that is logged: trace, debug, info, warn, error, fatal, panic.",
		bind: func(c *Config) value { return level(&c.Level) }},
	{key: "log_format", def: "text", doc: "Form of the log: text or json.",
		bind: func(c *Config) value { return choice(&c.LogFormat, "text", "json") }},
	{key: "data_dir", def: "data", doc: "Directory of the server's own files; it holds the channel keys (livego.db),\n" +
		"the segments of hls_dvr_window (hls), the numbers of HLS segments (hls.ledger) and what is known of recordings (record).",
		bind: func(c *Config) value { return nonEmpty(&c.DataDir) }},
	{key: "drain_timeout", reload: true, def: "5s", doc: "How long the end of the server may take.",
		bind: func(c *Config) value { return duration(&c.DrainTimeout, time.Millisecond, unbounded) }},
	{key: "drain_delay", def: "0s", doc: "How long a server that ends goes on as before after /readyz and other servers were told of it, so that nobody is\n" +
		"sent to it any more. At most half of drain_timeout.",
		bind: func(c *Config) value { return duration(&c.DrainDelay, 0, unbounded) }},
	{key: "drain_publishers", reload: true, def: "0s", doc: "How long a node of a cluster that ends goes on taking what its publishers send, before\n" +
		"drain_timeout begins. Their streams have another home by then, and viewers at other nodes stay.\n" +
		"It ends as soon as all of them are gone.",
		bind: func(c *Config) value { return duration(&c.DrainPublishers, 0, unbounded) }},

	{key: "rtmp_addr", def: ":1935", doc: "Listen address for publishing and playing over RTMP. Empty: off.",
		bind: func(c *Config) value { return address(&c.RTMPAddr) }},
	{key: "enable_rtmps", def: "false", doc: "Speak TLS, and only TLS, on rtmp_addr.",
		bind: func(c *Config) value { return boolean(&c.RTMPTLS) }},
	{key: "rtmps_addr", def: "", doc: "A second listen address that speaks RTMP over TLS. Empty: off.",
		bind: func(c *Config) value { return address(&c.RTMPSAddr) }},
	{key: "rtmps_cert", reload: true, def: "server.crt", doc: "Certificate chain for RTMPS, PEM file. Read again when it changes.",
		bind: func(c *Config) value { return nonEmpty(&c.RTMPSCert) }},
	{key: "rtmps_key", reload: true, def: "server.key", doc: "Private key for RTMPS, PEM file.",
		bind: func(c *Config) value { return nonEmpty(&c.RTMPSKey) }},
	{key: "rtmp_noauth", reload: true, def: "false", doc: "Let everybody publish: the publish name is the stream's name, no channel key is needed.",
		bind: func(c *Config) value { return boolean(&c.NoAuth) }},
	{key: "read_timeout", reload: true, def: "10s", doc: "Longest silence of a publisher, and of a connection before it publishes or plays.",
		bind: func(c *Config) value { return duration(&c.RTMP.ReadTimeout, time.Millisecond, unbounded) }},
	{key: "write_timeout", reload: true, def: "10s", doc: "How long a player may take nothing although there is something to send.",
		bind: func(c *Config) value { return duration(&c.Fanout.WriteTimeout, time.Millisecond, unbounded) }},
	{key: "max_message_size", reload: true, def: "8MiB", doc: "Largest RTMP message of a publisher, that is, largest picture.",
		bind: func(c *Config) value { return size(&c.RTMP.MaxMessageSize, minMessageSize, maxMessageSize) }},
	{key: "enable_tls_verify", def: "true", doc: "Verify the certificates of servers that this one pushes to or pulls from.",
		bind: func(c *Config) value { return boolean(&c.VerifyTLS) }},

	{key: "httpflv_addr", def: ":7001", doc: "Listen address for players over HTTP-FLV and WebSocket-FLV. Empty: off.",
		bind: func(c *Config) value { return address(&c.FLVAddr) }},
	{key: "use_flv_https", def: "false", doc: "Speak HTTPS, and only HTTPS, on httpflv_addr.",
		bind: func(c *Config) value { return boolean(&c.FLVTLS) }},
	{key: "flv_streams", reload: true, def: "true", doc: "List at /streams of httpflv_addr the names of streams on air, for everybody, as LiveGo does.",
		bind: func(c *Config) value { return boolean(&c.StreamList) }},

	{key: "hls_addr", def: ":7002", doc: "Listen address for HLS and the watch page. Empty: off.",
		bind: func(c *Config) value { return address(&c.HLSAddr) }},
	{key: "use_hls_https", def: "false", doc: "Speak HTTPS, and only HTTPS, on hls_addr.",
		bind: func(c *Config) value { return boolean(&c.HLSTLS) }},
	{key: "hls_http3", def: "false", doc: "Speak HTTP/3 too, on the UDP port with the number of hls_addr's. It needs use_hls_https.",
		bind: func(c *Config) value { return boolean(&c.HLSHTTP3) }},
	{key: "hls_fast_http", def: "true", doc: "Answer what HLS players ask for over HTTP/1.1, and with TLS over HTTP/2 too, in a loop of its own,\non Linux: a viewer costs half. false leaves all to Go's HTTP server.",
		bind: func(c *Config) value { return boolean(&c.HLSLoop) }},
	{key: "hls_segment_duration", def: "3s", doc: "Least length of a segment; it ends at the next key frame after this.",
		bind: func(c *Config) value {
			return duration(&c.HLS.SegmentDuration, 100*time.Millisecond, maxSegmentDuration)
		}},
	{key: "hls_part_duration", def: "200ms", doc: "About the length of a part of Low-Latency HLS: the nearest whole number of pictures.\n" +
		"A viewer is about three parts behind, and asks for each part.",
		bind: func(c *Config) value { return duration(&c.HLS.PartDuration, minPartDuration, maxPartDuration) }},
	{key: "hls_list_size", def: "3", doc: "Number of segments in a playlist; more are listed where the standard asks for it.",
		bind: func(c *Config) value { return number(&c.HLS.ListSize, 1, maxListSize) }},
	{key: "hls_cmaf", def: "true", doc: "Package CMAF segments too: Low-Latency HLS, adaptive ladders, all codecs. false: MPEG-TS only, which takes\n" +
		"less CPU time and memory per stream. hls_dvr_window needs CMAF.",
		bind: func(c *Config) value { return boolean(&c.HLS.CMAF) }},
	{key: "hls_joined", def: "false", doc: "Put the pictures and the sound of a stream with one of each into one CMAF playlist: a player of Low-Latency HLS asks\n" +
		"for half as many files, and costs about half. Players can then not go on with the sound alone.\nNot with hls_dvr_window.",
		bind: func(c *Config) value { return boolean(&c.HLS.Joined) }},
	{key: "hls_on_demand", def: "true", doc: "Package a stream only while somebody watches it over HLS, and two minutes longer: MPEG-TS and CMAF each from its\n" +
		"first request on, which begins with the last 10 s. An idle stream costs next to nothing. With hls_dvr_window and\n" +
		"for recordings there is CMAF always, with hls_keep_after_end there is all always.",
		bind: func(c *Config) value { return boolean(&c.HLSOnDemand) }},
	{key: "hls_keep_after_end", def: "false", doc: "Keep an ended playlist until the stream's next session.",
		bind: func(c *Config) value { return boolean(&c.HLS.KeepAfterEnd) }},
	{key: "hls_dvr_window", def: "0s", doc: "How far viewers of Low-Latency HLS can rewind, also after a restart. Segments are kept on disk,\n" +
		"below data_dir. 0: not further than hls_list_size.",
		bind: func(c *Config) value { return duration(&c.Rewind.Window, 0, unbounded) }},
	{key: "hls_dvr_max_bytes", def: "10GiB", doc: "Most disk space for hls_dvr_window; beyond it the oldest segments of the stream that takes most go.",
		bind: func(c *Config) value { return size(&c.Rewind.MaxBytes, minDVRBytes, math.MaxInt) }},
	{key: "public_status", reload: true, def: "false", doc: "List at / of hls_addr what is on air, for everybody, as a page and as status.json.",
		bind: func(c *Config) value { return boolean(&c.PublicStatus) }},
	{key: "frame_origins", reload: true, def: "*", doc: "Web origins whose pages may show the watch page in a frame, such as https://example.org or\n" +
		"https://*.example.org. *: all of them. Empty: none.",
		bind: func(c *Config) value { return frameOrigins(&c.FrameOrigins) }},

	{key: "media_origins", reload: true, def: "*", doc: "Web origins whose pages may play streams and ask for status.json, over HLS, HTTP-FLV and WebSocket-FLV, written as for\n" +
		"frame_origins; those of this server's own name always may. Players that are no pages are not asked.",
		bind: func(c *Config) value { return frameOrigins(&c.MediaOrigins) }},

	{key: "https_addr", def: "", doc: "Listen address with TLS, such as :443, that has HLS, the watch page, HTTP-FLV and WebSocket-FLV on one port, beside the\n" +
		"ports of their own. Empty: off.",
		bind: func(c *Config) value { return address(&c.HTTPSAddr) }},
	{key: "http_redirect_addr", def: "", doc: "Listen address, such as :80, that leads browsers to https_addr and answers the HTTP-01 challenges of acme_domains.\n" +
		"Empty: off.",
		bind: func(c *Config) value { return address(&c.HTTPRedirectAddr) }},
	{key: "acme_domains", def: "", doc: "Names of this server for which certificates are made by ACME and renewed, for all ports with TLS, in place of those in\n" +
		"files. The authority must reach https_addr at port 443, or http_redirect_addr at port 80. Who names one accepts the\n" +
		"authority's terms of service. Kept in data_dir/acme.",
		bind: func(c *Config) value { return domains(&c.ACME.Domains) }},
	{key: "acme_email", def: "", doc: "Address that the authority may write to.",
		bind: func(c *Config) value { return text(&c.ACME.Email) }},
	{key: "acme_directory", def: "", doc: "URL of the authority's directory. Empty: Let's Encrypt.",
		bind: func(c *Config) value { return hookURL(&c.ACME.Directory) }},
	{key: "https_cert", reload: true, def: "server.crt", doc: "Certificate chain for https_addr, use_hls_https and use_flv_https, PEM file. Read again when it changes.",
		bind: func(c *Config) value { return nonEmpty(&c.HTTPSCert) }},
	{key: "https_key", reload: true, def: "server.key", doc: "Private key for https_addr, use_hls_https and use_flv_https, PEM file.",
		bind: func(c *Config) value { return nonEmpty(&c.HTTPSKey) }},

	{key: "api_addr", def: ":8090", doc: "Listen address of the control API. Empty: off.",
		bind: func(c *Config) value { return address(&c.APIAddr) }},
	{key: "jwt.secret", reload: true, def: "", doc: "Secret of at least 16 bytes; with it the API asks every caller for a JSON Web Token signed with it.\n" +
		"Without it the API answers only programs on this machine. A proxy on this machine that hides itself\n" +
		"cannot be told from such a program: behind any proxy set jwt.secret.",
		bind: func(c *Config) value { return secret(&c.API.Secret) }},
	{key: "jwt.algorithm", reload: true, def: "HS256", doc: "Signing method of the tokens: HS256, HS384 or HS512.",
		bind: func(c *Config) value { return choice(&c.API.Algorithm, "HS256", "HS384", "HS512") }},
	{key: "api_allow", reload: true, def: "", doc: "Addresses and networks that may call the API at all. Empty: this machine only without jwt.secret, everybody\n" +
		"with it. Without jwt.secret whoever calls from one of them gets channel keys: name networks that you trust.",
		bind: func(c *Config) value { return networks(&c.API.Allow) }},
	{key: "api_origins", reload: true, def: "", doc: "Web origins whose pages may call the API from a browser, such as https://example.org.",
		bind: func(c *Config) value { return origins(&c.API.Origins) }},
	{key: "metrics_addr", def: "", doc: "Listen address of metrics for Prometheus, at /metrics, open to everybody who reaches it. They are at /metrics of\n" +
		"api_addr too, where the API's rules hold. Empty: only there.",
		bind: func(c *Config) value { return address(&c.MetricsAddr) }},
	{key: "metrics_streams", def: "200", doc: "How many streams have metrics of their own, until they end; the others are summed up. 0: none.",
		bind: func(c *Config) value { return number(&c.Metrics.Streams, 0, maxMetricsStreams) }},
	{key: "pprof_addr", def: "", doc: "Listen address of Go's profiler, for go tool pprof http://127.0.0.1:6060/debug/pprof/profile. It shows the\n" +
		"inside of the server, and answers only requests to localhost or a loopback address. Empty: off.",
		bind: func(c *Config) value { return address(&c.PprofAddr) }},

	{key: "redis_addr", def: "", doc: "Redis that holds the channel keys of several servers: host:port, or a URL: redis://user:password@host:6379/0\n" +
		"(rediss: TLS), unix:///path, redis+sentinel://host:26379,host:26379/MASTER/0 or redis+cluster://host:6379,host:6379.\n" +
		"Empty: the keys are in a file in data_dir.",
		bind: func(c *Config) value { return redis(&c.Store.RedisAddr) }},
	{key: "redis_pwd", def: "", doc: "Password of the Redis server.",
		bind: func(c *Config) value { return secret(&c.Store.RedisPassword) }},
	{key: "redis_prefix", def: redisconn.DefaultPrefix, doc: "What the names of all keys in Redis begin with. What stands in braces keeps them in one slot of a Redis Cluster.",
		bind: func(c *Config) value { return prefix(&c.Store.RedisPrefix) }},
	{key: "key_cache", def: "10m", doc: "While Redis is away: for how long after this server accepted a channel key its publisher may come again. 0: not at all.",
		bind: func(c *Config) value { return duration(&c.Store.CacheTime, 0, maxKeyCache) }},

	{key: "cluster_addr", def: "", doc: "Listen address for the other servers of a cluster, for them alone: encoders and viewers may come to any of them.\n" +
		"It needs redis_addr and cluster_secret. Empty: this server is alone.",
		bind: func(c *Config) value { return address(&c.Cluster.Addr) }},
	{key: "cluster_advertise", def: "", doc: "host:port at which the others reach cluster_addr. Empty: an address of this machine.",
		bind: func(c *Config) value { return address(&c.Cluster.Advertise) }},
	{key: "cluster_secret", def: "", doc: "What all servers of the cluster know: 32 bytes or more. Two, with a comma between them, while they change to a new one:\n" +
		"the first one is used, both are accepted.",
		bind: func(c *Config) value { return clusterSecret(&c.Cluster.Secret) }},
	{key: "cluster_cert", def: "", doc: "Certificate for TLS between the servers, PEM file, for both ends of each connection. It must be good for\n" +
		"cluster_advertise. Empty: no TLS.",
		bind: func(c *Config) value { return text(&c.Cluster.Cert) }},
	{key: "cluster_key", def: "", doc: "Private key of cluster_cert, PEM file.",
		bind: func(c *Config) value { return text(&c.Cluster.Key) }},
	{key: "cluster_ca", def: "", doc: "Certificates of who signs those of the other servers, PEM file.",
		bind: func(c *Config) value { return text(&c.Cluster.CA) }},
	{key: "node_id", def: "", doc: "Name of this server in the cluster, another one than those of all others, also after a restart. Empty: one that is made\n" +
		"once and kept in data_dir.",
		bind: func(c *Config) value { return nodeID(&c.Cluster.ID) }},
	{key: "public_url", def: "", doc: "Where this server's HLS port is reached from outside, such as https://node1.example.org. Encoders of another one that\n" +
		"ends are sent to the same host, to the port of rtmp_addr. Empty: nobody is.",
		bind: func(c *Config) value { return publicURL(&c.Cluster.PublicURL) }},
	{key: "region", def: "", doc: "Where this server is: a name that servers share which are near each other. A stream comes once to each region\n" +
		"where it is watched, to one of its servers, and from there to the others.",
		bind: func(c *Config) value { return region(&c.Cluster.Region) }},
	{key: "cluster_idle", def: "30s", doc: "For how long a stream of another server is kept here after its last viewer.",
		bind: func(c *Config) value { return duration(&c.Cluster.Idle, time.Second, time.Hour) }},
	{key: "edge_cache_bytes", def: "512MiB", doc: "Most memory for HLS files of other servers, each of which is fetched once for all viewers here.",
		bind: func(c *Config) value { return size(&c.Cluster.EdgeBytes, minEdgeBytes, math.MaxInt) }},
	{key: "redirect_above", def: "0", doc: "Load of this server, in percent, above which new viewers are sent to another one of its region that has less to\n" +
		"do, by its public_url: of HLS and HTTP-FLV by 302, of RTMP by Enhanced RTMP's reconnect request. RTMP players that do\n" +
		"not know that are refused. 0: nobody is sent on.",
		bind: func(c *Config) value { return percent(&c.Cluster.RedirectAbove) }},
	{key: "egress_limit", def: "0", doc: "What the network of this server can send, in Mbit/s. Its load is the most of that, of processors and of max_viewers.\n" +
		"0: not known.",
		bind: func(c *Config) value { return megabits(&c.Cluster.EgressLimit, maxEgress) }},

	{key: "gop_num", def: "1", doc: "Number of GOPs that a joining player gets at once. 0: it waits for the next key frame.",
		bind: func(c *Config) value { return number(&c.Live.GOPs, 0, math.MaxInt) }},
	{key: "takeover", reload: true, def: "true", doc: "A second publisher of a stream replaces the first. false: it is refused.",
		bind: func(c *Config) value { return boolean(&c.Live.Takeover) }},
	{key: "play_wait", reload: true, def: "10s", doc: "How long an RTMP player waits for a stream that is not on air. 0: not at all.",
		bind: func(c *Config) value { return duration(&c.PlayWait, 0, unbounded) }},
	{key: "republish_grace", reload: true, def: "10s", doc: "How long a stream and its players wait for a lost publisher to come back;\nHLS players also after a start of the server. 0: not at all.",
		bind: func(c *Config) value { return duration(&c.Live.Grace, 0, unbounded) }},
	{key: "stream_memory", def: "64MiB", doc: "Most memory that the cached GOPs of one stream take.",
		bind: func(c *Config) value { return size(&c.Live.Memory, minStreamMemory, math.MaxInt) }},
	{key: "player_lag", def: "5s", doc: "How far a player may fall behind before it jumps to a newer key frame.",
		bind: func(c *Config) value { return duration(&c.Fanout.PlayerLag, 100*time.Millisecond, unbounded) }},
	{key: "max_batch_delay", def: "100ms", doc: "Longest time for which delivery waits to save CPU under load. 0: one write per picture.",
		bind: func(c *Config) value { return duration(&c.Fanout.MaxBatch, 0, maxBatchDelay) }},
	{key: "min_batch_delay", def: "0", doc: "Time for which delivery always waits, so that writes are few and large. At most max_batch_delay.",
		bind: func(c *Config) value { return duration(&c.Fanout.MinBatch, 0, maxBatchDelay) }},
	{key: "io_uring", def: "true", doc: "Send to many players with one system call, where Linux allows that.",
		bind: func(c *Config) value { return boolean(&c.Fanout.Rings) }},

	{key: "trusted_proxies", reload: true, def: "", doc: "Addresses and networks of proxies in front of the HTTP ports that add the client's address to X-Forwarded-For.\n" +
		"The last address there that is none of theirs counts as the client: in hls_viewers, in lists, for api_allow.",
		bind: func(c *Config) value { return networks(&c.TrustedProxies) }},

	{key: "proxy_protocol", def: "false", doc: "Let trusted_proxies say by the PROXY protocol, version 1 or 2, for whom they speak: on the RTMP ports and the\n" +
		"HTTP ports of viewers. Connections of theirs without it, and of others, stay as they are.",
		bind: func(c *Config) value { return boolean(&c.ProxyProtocol) }},
	{key: "max_connections", reload: true, def: "0", doc: "Most open connections. 0: no bound.",
		bind: func(c *Config) value { return number(&c.MaxConnections, 0, math.MaxInt) }},
	{key: "max_streams", reload: true, def: "0", doc: "Most streams on air. 0: no bound. An app may have a bound of its own.",
		bind: func(c *Config) value { return number(&c.MaxStreams, 0, math.MaxInt) }},
	{key: "max_viewers", reload: true, def: "0", doc: "Most viewers over all protocols; those of HLS are an estimate. 0: no bound. An app may have a bound of its own.",
		bind: func(c *Config) value { return number(&c.MaxViewers, 0, math.MaxInt) }},
	{key: "max_connections_per_addr", reload: true, def: "0", doc: "Most open connections from one address; of IPv6 a network of 64 bits counts as one. 0: no bound.",
		bind: func(c *Config) value { return number(&c.MaxConnectionsPerAddr, 0, math.MaxInt) }},

	{key: "publish_max_bit_rate", reload: true, def: "0", doc: "Most that a publisher may send, in bit/s (6000000, 6000k, 6M), the mean of 5 s. It is warned, and closed after ten\n" +
		"seconds more. 0: no bound. This and the following: an app may have its own, and the answer of publish_auth_url too.",
		bind: func(c *Config) value { return everyApp(c, "publish_max_bit_rate") }},
	{key: "publish_max_picture", reload: true, def: "", doc: "Largest picture of a publisher, such as 1920x1080, however it is turned. Empty: no bound.",
		bind: func(c *Config) value { return everyApp(c, "publish_max_picture") }},
	{key: "publish_max_frame_rate", reload: true, def: "0", doc: "Most pictures per second of a publisher. It is warned, and closed after ten seconds more. 0: no bound.",
		bind: func(c *Config) value { return everyApp(c, "publish_max_frame_rate") }},
	{key: "publish_max_key_frame_interval", reload: true, def: "0s", doc: "Longest time between two key frames of a publisher. It is warned, and closed after ten seconds more. 0: no bound.",
		bind: func(c *Config) value { return everyApp(c, "publish_max_key_frame_interval") }},
	{key: "publish_max_time", reload: true, def: "0s", doc: "How long a publisher may go on; it is warned a minute before. 0: no bound.",
		bind: func(c *Config) value { return everyApp(c, "publish_max_time") }},
	{key: "publish_codecs", reload: true, def: "", doc: "Codecs that publishers may send, such as [H264, AAC]. Empty: all.",
		bind: func(c *Config) value { return everyApp(c, "publish_codecs") }},
	{key: "publish_limits", reload: true, def: "close", doc: "What becomes of a publisher that passes one of these limits: close, or warn, which log, events and API do first anyway.",
		bind: func(c *Config) value { return everyApp(c, "publish_limits") }},

	{key: "viewer_auth", reload: true, def: "off", doc: "Who may watch: off, everybody; token, who has a token that is signed with one of viewer_keys; hook, whom viewer_auth_url\n" +
		"lets. An app may have its own.",
		bind: func(c *Config) value { return everyApp(c, "viewer_auth") }},
	{key: "viewer_keys", reload: true, def: "", doc: "Keys of tokens, each with kid, algorithm, and secret (HS256, HS384, HS512; 32 bytes or more) or file, a PEM file\n" +
		"(ES256, EdDSA, RS256): [{kid: a, algorithm: HS256, secret: SECRET}]. A private key can make tokens too.",
		bind: func(c *Config) value { return viewerKeys(&c.Tickets.Keys) }},
	{key: "viewer_session_max", reload: true, def: "12h", doc: "How long who began to watch in time may go on after the token's exp. 0: not at all.",
		bind: func(c *Config) value { return duration(&c.Tickets.SessionMax, 0, unbounded) }},
	{key: "viewer_auth_url", reload: true, def: "", doc: "URL that is asked, by POST, with viewer_auth: hook: once for each stream and token, or address of who shows none,\n" +
		"until the answer's ttl (60 s) is over. 2xx: yes; 4xx: no. hook_secret and hook_fail hold for it too.",
		bind: func(c *Config) value { return hookURL(&c.Hooks.ViewURL) }},
	{key: "viewer_shared_cache", reload: true, def: "false", doc: "Let shared caches keep what was sent to a viewer with a token: they check tokens themselves.",
		bind: func(c *Config) value { return boolean(&c.ViewerSharedCache) }},

	{key: "hook_url", reload: true, def: "", doc: "URLs that are told what happens, by POST as Standard Webhooks have it.",
		bind: func(c *Config) value { return hookURLs(&c.Hooks.URLs) }},
	{key: "hook_secret", reload: true, def: "", doc: "Secret with which what is sent is signed: 24 bytes or more, or whsec_ and base64. Two, with a comma\n" +
		"between them, while receivers change to a new one.",
		bind: func(c *Config) value { return hookSecrets(&c.Hooks.Secrets) }},
	{key: "hook_events", reload: true, def: "", doc: "Which events are told, such as stream.started,stream.ended. Empty: all but those of viewers.",
		bind: func(c *Config) value { return hookEvents(&c.Hooks.Events) }},
	{key: "hook_timeout", reload: true, def: "2s", doc: "How long a receiver may take to answer.",
		bind: func(c *Config) value { return duration(&c.Hooks.Timeout, 100*time.Millisecond, time.Minute) }},
	{key: "hook_format", reload: true, def: "livego", doc: "Form of what is sent and answered: livego, or srs for receivers that were written for SRS.",
		bind: func(c *Config) value { return either(&c.Hooks.SRS, "livego", "srs") }},
	{key: "publish_auth_url", reload: true, def: "", doc: "URL that is asked, by POST, whether a publisher with a right key may publish. 2xx: yes; 4xx: no.",
		bind: func(c *Config) value { return hookURL(&c.Hooks.PublishURL) }},
	{key: "hook_fail", reload: true, def: "deny", doc: "What holds while a URL that is asked does not answer: deny or allow.",
		bind: func(c *Config) value { return either(&c.Hooks.AllowOnFailure, "deny", "allow") }},

	{key: "run_on_stream", def: "", doc: "Commands that run beside each stream, each a list of a program and its arguments, without a shell; an app may have its\n" +
		"own. {app}, {stream}, {rtmp_url}, {flv_url}, {publish_url}, for renditions of the stream, and {poster_url}, for a\n" +
		"picture of it, are filled in.",
		bind: func(c *Config) value { return everyApp(c, "run_on_stream") }},
	{key: "flv_archive", def: "false", doc: "Record every published stream as FLV_DIR/APP/ROOM_TIME.flv. A file that is not complete ends in .part.",
		bind: func(c *Config) value { return boolean(&c.FLVArchive) }},
	{key: "flv_dir", def: "tmp", doc: "Directory of the FLV files.",
		bind: func(c *Config) value { return nonEmpty(&c.FLVDir) }},
	{key: "record", reload: true, def: "off", doc: "Record what viewers of Low-Latency HLS get, with all renditions: off, all streams, or api for those that the\n" +
		"control API starts. Also for an app alone, in its entry of server.",
		bind: func(c *Config) value { return everyApp(c, "record") }},
	{key: "record_to", def: "recordings", doc: "Where recordings go: a directory, or s3://BUCKET/PREFIX?endpoint=HOST:PORT&region=REGION&path_style=true.\n" +
		"Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), AWS's file or the machine's role.",
		bind: func(c *Config) value { return recordTo(&c.Record.To) }},
	{key: "record_name", def: "{app}/{stream}/{start:20060102T150405Z}-{id}", doc: "Folder of a recording in record_to, with {start}, {start:LAYOUT} as Go writes times, or {id} in it.",
		bind: func(c *Config) value { return recordName(&c.Record.Name) }},
	{key: "record_join", def: "10m", doc: "For how long a publisher may be gone that goes on in the same recording. 0: each session is a recording.",
		bind: func(c *Config) value { return duration(&c.Record.Join, 0, maxRecordJoin) }},
	{key: "record_keep", def: "0", doc: "Age at which recordings are deleted, from their end on. 0: never.",
		bind: func(c *Config) value { return duration(&c.Record.Keep, 0, unbounded) }},
	{key: "record_spool_bytes", def: "10GiB", doc: "Most disk space, below data_dir, for what record_to has not taken yet; beyond it the oldest segments are lost.",
		bind: func(c *Config) value { return size(&c.Record.MaxSpoolBytes, minDVRBytes, math.MaxInt) }},
}

// find returns the option with the given name in the file.
func find(key string) (option, bool) {
	for _, o := range options {
		if o.key == key {
			return o, true
		}
	}
	return option{}, false
}
