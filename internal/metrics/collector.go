package metrics

import (
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"livego/internal/event"
)

// collector turns figures into metrics at each scrape.
type collector struct {
	read func() *Figures
	all  []*prometheus.Desc
	families

	mu        sync.Mutex
	selection *selection
}

// family is a metric with all its labels.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newCollector(streams int, read func() *Figures) *collector {
	c := &collector{read: read, selection: newSelection(streams)}
	c.families = c.declare()
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.all {
		to <- d
	}
}

// gauge and counter declare a family. The help of a metric says its unit where the name does not.
func (c *collector) gauge(name, help string, labels ...string) family {
	return c.family(prometheus.GaugeValue, name, help, labels)
}

func (c *collector) counter(name, help string, labels ...string) family {
	return c.family(prometheus.CounterValue, name, help, labels)
}

func (c *collector) family(kind prometheus.ValueType, name, help string, labels []string) family {
	f := family{prometheus.NewDesc("livego_"+name, help, labels, nil), kind}
	c.all = append(c.all, f.desc)
	return f
}

// sender sends the metrics of one scrape.
type sender chan<- prometheus.Metric

func (to sender) send(f family, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

func (to sender) count(f family, value uint64, labels ...string) {
	to.send(f, float64(value), labels...)
}

// answers sends what became of questions, if somebody is asked.
func (to sender) answers(f family, q *Questions) {
	if q == nil {
		return
	}
	to.count(f, q.Allowed, "allowed")
	to.count(f, q.Refused, "refused")
	to.count(f, q.Unanswered, "unanswered")
}

// families are all metrics that are made of figures.
type families struct {
	streams, publishers, viewers                         family
	sessionsEnded, received, sent, playerJumps, encJumps family
	refused, tokens                                      family

	streamUp, streamViewers, streamReceived, streamSent, streamRate, streamKeys family

	ringBytes, feeds, logBytes, wait family

	hlsRequests, hlsHeld, hlsSegments, hlsParts, hlsBytes, hlsForced, hlsDropped, hlsWide, hlsSilence, hlsWindow family

	rewindSegments, rewindBytes, rewindQueue, rewindLost family

	recordings, recordQueue, recordSpool, recordStored, recordBytes, recordFailed, recordLost, recordTook family

	registryUp, clockAhead, claimsLost, claims, nodes, load, copies, feedsOut, moves, redirects, edgeRequests, edgeFiles, edgeBytes family

	relays, relayTries, relayFailures, relayBytes, relaySkipped family

	hooksDone, hookTries, hookMissed, hooksWaiting, questions, viewerQuestions, events family

	connections, viewerConnections, connectionLimit, viewerLimit, connRefused, connEvicted, handshakes family

	logLines, linesLeftOut, certificates family
}

func (c *collector) declare() families {
	return families{
		streams:       c.gauge("streams", "Streams by state: live, or interrupted while a lost publisher is waited for.", "app", "state"),
		publishers:    c.gauge("publishers", "Publishers that are connected.", "app", "protocol"),
		viewers:       c.gauge("viewers", "Viewers; those of HLS are an estimate.", "app", "protocol"),
		sessionsEnded: c.counter("sessions_ended_total", "Sessions of publishers and players that are over, by why.", "role", "protocol", "reason"),
		received:      c.counter("received_bytes_total", "Media that publishers sent.", "protocol"),
		sent:          c.counter("sent_bytes_total", "Media that viewers were sent; of HLS all answers.", "protocol"),
		playerJumps:   c.counter("player_jumps_total", "How often a player was moved forward because it had fallen behind.", "protocol"),
		encJumps:      c.counter("publisher_time_jumps_total", "How often the time of an encoder jumped.", "protocol"),
		tokens:        c.counter("viewer_tokens_total", "Tokens of viewers that were checked, one for each request of HLS, by result.", "result"),
		refused:       c.counter("publishers_refused_total", "Publishers that were refused, by why.", "reason"),

		streamUp:       c.gauge("stream_up", "1 while the stream has a publisher, 0 while a lost one is waited for. Of others, how many have one.", "app", "stream"),
		streamViewers:  c.gauge("stream_viewers", "Viewers of the stream over all protocols.", "app", "stream"),
		streamReceived: c.counter("stream_received_bytes_total", "Media that the publishers of the stream sent.", "app", "stream"),
		streamSent:     c.counter("stream_sent_bytes_total", "Media that the players of the stream were sent over RTMP and FLV.", "app", "stream"),
		streamRate:     c.gauge("stream_received_bytes_per_second", "What the publishers of the stream send, in the mean of the last 5 s.", "app", "stream"),
		streamKeys:     c.gauge("stream_key_frame_interval_seconds", "Time between the last two key frames of the stream.", "app", "stream"),

		ringBytes: c.gauge("ring_bytes", "Memory of the rings of all streams: what is kept for who joins, and for slow readers."),
		feeds:     c.gauge("delivery_feeds", "Forms in which streams are delivered now: one for each stream, protocol and choice of tracks."),
		logBytes:  c.gauge("delivery_log_bytes", "Memory of what is on its way to players."),
		wait:      c.gauge("delivery_wait_seconds", "How long delivery waits now between two writes, to save CPU time under load (max_batch_delay)."),

		hlsRequests: c.counter("hls_requests_total", "Requests of HLS, by what was asked for and status code.", "kind", "code"),
		hlsHeld:     c.gauge("hls_held_requests", "Requests that wait for what comes next."),
		hlsSegments: c.counter("hls_segments_total", "Segments that were packaged.", "format"),
		hlsParts:    c.counter("hls_parts_total", "Parts of Low-Latency HLS that were packaged."),
		hlsBytes:    c.counter("hls_packaged_bytes_total", "Segments that were packaged.", "format"),
		hlsForced:   c.counter("hls_forced_cuts_total", "Segments that begin without a key frame, because there was none for too long."),
		hlsDropped:  c.counter("hls_dropped_units_total", "Pictures and frames that were left out of HLS."),
		hlsWide:     c.counter("hls_wide_parts_total", "Parts that last for longer than playlists may say."),
		hlsSilence:  c.counter("hls_silence_seconds_total", "Silence that was made in place of sound that is missing."),
		hlsWindow:   c.gauge("hls_window_bytes", "Memory of the segments that can be fetched."),

		rewindSegments: c.gauge("rewind_segments", "Segments on disk for rewinding."),
		rewindBytes:    c.gauge("rewind_bytes", "Room on disk that rewinding takes."),
		rewindQueue:    c.gauge("rewind_queue_bytes", "Segments that wait for the disk."),
		rewindLost:     c.counter("rewind_lost_segments_total", "Segments that the disk did not take in time: gaps for who rewinds."),

		recordings:   c.gauge("recordings", "Recordings: active, or complete.", "state"),
		recordQueue:  c.gauge("recording_queue_bytes", "What of recordings waits for the local disk."),
		recordSpool:  c.gauge("recording_spool_bytes", "What of recordings waits on the local disk for the bucket."),
		recordStored: c.counter("recording_stored_files_total", "Files of recordings that were stored in the bucket."),
		recordBytes:  c.counter("recording_stored_bytes_total", "What of recordings was stored in the bucket."),
		recordFailed: c.counter("recording_store_failures_total", "Files of recordings that the bucket did not take; they are tried again."),
		recordLost:   c.counter("recording_lost_segments_total", "Segments that are missing in recordings."),
		recordTook:   c.counter("recording_store_seconds_total", "Time that storing files in the bucket took."),

		registryUp:   c.gauge("cluster_registry_up", "1 while what the nodes share can be reached."),
		clockAhead:   c.gauge("cluster_clock_offset_seconds", "How much the clock of what the nodes share is ahead of this server."),
		claimsLost:   c.counter("cluster_claims_lost_total", "Streams of this node that another one took."),
		claims:       c.counter("cluster_claims_total", "Tries to become the home of a stream: got, held by another node, or failed.", "result"),
		nodes:        c.gauge("cluster_nodes", "Nodes of the last day, as this one knows them: ready, draining, or gone.", "state"),
		load:         c.gauge("cluster_load_ratio", "How full this node is: the most of processors, network and viewers."),
		copies:       c.gauge("cluster_copies", "Streams of other nodes that are here."),
		feedsOut:     c.gauge("cluster_feeds", "Streams that go from here to other nodes."),
		moves:        c.counter("cluster_failovers_total", "Streams of other nodes that went on here from another home than before."),
		redirects:    c.counter("cluster_redirects_total", "Viewers that were sent to other nodes."),
		edgeRequests: c.counter("edge_requests_total", "Requests of HLS for streams of other nodes.", "result"),
		edgeFiles:    c.gauge("edge_files", "Files of other nodes that are kept."),
		edgeBytes:    c.gauge("edge_bytes", "Memory of the files of other nodes that are kept."),

		relays:        c.gauge("relays", "Pushes and pulls by state.", "direction", "state"),
		relayTries:    c.counter("relay_attempts_total", "Connections of pushes and pulls that were tried.", "direction"),
		relayFailures: c.counter("relay_failures_total", "Connections of pushes and pulls that failed or broke.", "direction"),
		relayBytes:    c.counter("relay_bytes_total", "Media that pushes sent and pulls received.", "direction"),
		relaySkipped:  c.counter("relay_skipped_units_total", "Pictures and frames that a slow server did not take.", "direction"),

		hooksDone:    c.counter("hook_deliveries_total", "Events for receivers: delivered, failed after all tries, or dropped because too many waited.", "result"),
		hookTries:    c.counter("hook_attempts_total", "Calls of receivers."),
		hookMissed:   c.counter("hook_missed_events_total", "Events that came faster than they could be taken."),
		hooksWaiting: c.gauge("hook_waiting", "Events that wait for a receiver."),
		questions:    c.counter("publish_questions_total", "Answers of publish_auth_url.", "result"),

		viewerQuestions: c.counter("viewer_questions_total", "Answers of viewer_auth_url; viewers who come again while one holds are not counted.", "result"),

		events: c.counter("events_total", "What happened, by the types that hooks know.", "type"),

		connections:       c.gauge("connections", "Open connections of all listeners."),
		viewerConnections: c.gauge("viewer_connections", "Connections over which somebody watches now."),
		connectionLimit:   c.gauge("connections_limit", "The most connections that there may be, by options and open files."),
		viewerLimit:       c.gauge("viewer_connections_limit", "The most connections that viewers may have."),
		connRefused:       c.counter("connections_refused_total", "Connections and requests for which there was no room."),
		connEvicted:       c.counter("connections_evicted_total", "Connections that did nothing and were closed to make room."),
		handshakes:        c.counter("handshake_failures_total", "Connections that failed before anything was published, played or asked for.", "protocol", "reason"),

		logLines:     c.counter("log_lines_total", "Lines of the log.", "level"),
		linesLeftOut: c.counter("log_lines_left_out_total", "Lines that came too fast and were not written."),
		certificates: c.gauge("certificate_expiry_timestamp_seconds", "Until when the certificate in use is good, in seconds since 1970.", "option"),
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, to := c.read(), sender(ch)
	c.collectStreams(to, f)
	c.collectSessions(to, f)
	c.collectDelivery(to, f)
	c.collectHLS(to, f)
	c.collectRecordings(to, f.Recordings)
	c.collectCluster(to, f.Cluster)
	c.collectOthers(to, f)
	c.collectConnections(to, f)
}

func (c *collector) collectStreams(to sender, f *Figures) {
	states := make(map[[2]string]int)
	for i := range f.Streams {
		s := &f.Streams[i]
		s.App, s.Name = label(s.App), label(s.Name)
		states[[2]string{s.App, "live"}] += number(s.OnAir)
		states[[2]string{s.App, "interrupted"}] += number(!s.OnAir)
	}
	for key, n := range states {
		to.send(c.streams, float64(n), key[0], key[1])
	}
	own, rest, up, ok := c.selection.split(f.Streams)
	for i := range own {
		c.collectStream(to, &own[i], number(own[i].OnAir))
	}
	if ok {
		c.collectStream(to, &rest, up)
	}
}

func (c *collector) collectStream(to sender, s *Stream, up int) {
	to.send(c.streamUp, float64(up), s.App, s.Name)
	to.send(c.streamViewers, float64(s.Viewers), s.App, s.Name)
	to.count(c.streamReceived, s.Received, s.App, s.Name)
	to.count(c.streamSent, s.Sent, s.App, s.Name)
	to.send(c.streamRate, s.Rate, s.App, s.Name)
	if s.KeyInterval > 0 {
		to.send(c.streamKeys, s.KeyInterval.Seconds(), s.App, s.Name)
	}
}

func (c *collector) collectSessions(to sender, f *Figures) {
	for _, s := range f.Sessions {
		if s.Role == Publisher {
			to.send(c.publishers, float64(s.Count), s.App, s.Protocol)
		} else {
			to.send(c.viewers, float64(s.Count), s.App, s.Protocol)
		}
	}
	for _, e := range f.Ended {
		to.count(c.sessionsEnded, e.Count, e.Role, e.Protocol, e.Reason)
	}
	for _, t := range f.Traffic {
		if t.Role == Publisher {
			to.count(c.received, t.Bytes, t.Protocol)
			to.count(c.encJumps, t.Jumps, t.Protocol)
		} else {
			to.count(c.sent, t.Bytes, t.Protocol)
			to.count(c.playerJumps, t.Jumps, t.Protocol)
		}
	}
	to.count(c.sent, f.HLS.SentBytes, "hls")
	for reason, n := range f.Refused {
		to.count(c.refused, n, reason)
	}
	for result, n := range f.Tokens {
		to.count(c.tokens, n, result)
	}
}

func (c *collector) collectDelivery(to sender, f *Figures) {
	to.send(c.ringBytes, float64(f.RingBytes))
	to.send(c.feeds, float64(f.Delivery.Feeds))
	to.send(c.logBytes, float64(f.Delivery.LogBytes))
	to.send(c.wait, f.Delivery.Wait.Seconds())
}

func (c *collector) collectHLS(to sender, f *Figures) {
	h := &f.HLS
	for _, a := range h.Answers {
		code := "other"
		if a.Code != 0 {
			code = strconv.Itoa(a.Code)
		}
		to.count(c.hlsRequests, a.Count, a.Kind, code)
	}
	to.send(c.hlsHeld, float64(h.Held))
	to.count(c.hlsSegments, h.Segments, "mpegts")
	to.count(c.hlsSegments, h.CMAFSegments, "cmaf")
	to.count(c.hlsParts, h.Parts)
	to.count(c.hlsBytes, h.Bytes, "mpegts")
	to.count(c.hlsBytes, h.CMAFBytes, "cmaf")
	to.count(c.hlsForced, h.ForcedCuts)
	to.count(c.hlsDropped, h.Dropped)
	to.count(c.hlsWide, h.WideParts)
	to.send(c.hlsSilence, h.Silence.Seconds())
	to.send(c.hlsWindow, float64(h.WindowBytes))
	if r := f.Rewind; r != nil {
		to.send(c.rewindSegments, float64(r.Segments))
		to.send(c.rewindBytes, float64(r.Bytes))
		to.send(c.rewindQueue, float64(r.Queued))
		to.count(c.rewindLost, r.Lost)
	}
}

func (c *collector) collectRecordings(to sender, r *Recordings) {
	if r == nil {
		return
	}
	to.send(c.recordings, float64(r.Active), "active")
	to.send(c.recordings, float64(r.Complete), "complete")
	to.send(c.recordQueue, float64(r.Queued))
	to.send(c.recordSpool, float64(r.Spooled))
	to.count(c.recordStored, r.Stored)
	to.count(c.recordBytes, r.Bytes)
	to.count(c.recordFailed, r.Failed)
	to.count(c.recordLost, r.Lost)
	to.send(c.recordTook, r.Took.Seconds())
}

func (c *collector) collectCluster(to sender, n *Cluster) {
	if n == nil {
		return
	}
	to.send(c.registryUp, float64(number(!n.Away)))
	to.send(c.clockAhead, n.Ahead.Seconds())
	to.count(c.claimsLost, n.LostClaims)
	for result, times := range n.Claims {
		to.count(c.claims, times, result)
	}
	for state, nodes := range n.Nodes {
		to.send(c.nodes, float64(nodes), state)
	}
	to.send(c.load, n.Load)
	to.send(c.copies, float64(n.Copies))
	to.send(c.feedsOut, float64(n.Feeds))
	to.count(c.moves, n.Moves)
	to.count(c.redirects, n.Redirects)
	to.count(c.edgeRequests, n.Hits, "hit")
	to.count(c.edgeRequests, n.Misses, "miss")
	to.count(c.edgeRequests, n.Coalesced, "coalesced")
	to.count(c.edgeRequests, n.Failed, "failed")
	to.send(c.edgeFiles, float64(n.Files))
	to.send(c.edgeBytes, float64(n.Bytes))
}

func (c *collector) collectOthers(to sender, f *Figures) {
	for _, r := range f.Relays {
		for _, state := range slices.Sorted(maps.Keys(r.States)) {
			to.send(c.relays, float64(r.States[state]), r.Direction, state)
		}
		to.count(c.relayTries, r.Tries, r.Direction)
		to.count(c.relayFailures, r.Failures, r.Direction)
		to.count(c.relayBytes, r.Bytes, r.Direction)
		to.count(c.relaySkipped, r.Skipped, r.Direction)
	}
	if h := f.Hooks; h != nil {
		to.count(c.hooksDone, h.Delivered, "delivered")
		to.count(c.hooksDone, h.Failed, "failed")
		to.count(c.hooksDone, h.Dropped, "dropped")
		to.count(c.hookTries, h.Tries)
		to.count(c.hookMissed, h.Missed)
		to.send(c.hooksWaiting, float64(h.Waiting))
	}
	to.answers(c.questions, f.Questions)
	to.answers(c.viewerQuestions, f.ViewerQuestions)
	for _, t := range event.Types() {
		to.count(c.events, f.Events[t], string(t))
	}
}

func (c *collector) collectConnections(to sender, f *Figures) {
	n := &f.Connections
	to.send(c.connections, float64(n.Open))
	to.send(c.viewerConnections, float64(n.Viewers))
	if n.Limit > 0 {
		to.send(c.connectionLimit, float64(n.Limit))
	}
	if n.ViewerLimit > 0 {
		to.send(c.viewerLimit, float64(n.ViewerLimit))
	}
	to.count(c.connRefused, n.Refused)
	to.count(c.connEvicted, n.Evicted)
	for _, h := range f.Handshakes {
		to.count(c.handshakes, h.Count, h.Protocol, h.Reason)
	}
	for level, lines := range f.LogLines {
		to.count(c.logLines, lines, level)
	}
	to.count(c.linesLeftOut, f.LeftOut)
	for option, until := range f.Certificates {
		to.send(c.certificates, float64(until.Unix()), option)
	}
}

// number is 1 for true.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
