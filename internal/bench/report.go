package bench

import (
	"fmt"
	"strings"
)

// Progress is what a second brought.
type Progress struct {
	// Measuring says that the measurement has begun.
	Measuring bool
	// Connected of Players are connected.
	Connected, Players int
	// Gbits were delivered in this second.
	Gbits float64
	// Starved players got less than half of what was sent in this second.
	Starved int
	// Delay is what the sample measured.
	Delay Quantiles
	// CPU is the server's, in cores, RSS in bytes. 0 if not measured.
	CPU float64
	RSS uint64
	// LastError is the latest reason for which a player is not connected.
	LastError error
}

func (p Progress) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d/%d players  %.2f Gbit/s  %d starved", p.Connected, p.Players, p.Gbits, p.Starved)
	if p.Delay.Count > 0 {
		fmt.Fprintf(&b, "  latency p50 %.1f ms p99 %.1f ms", p.Delay.P50, p.Delay.P99)
	}
	if p.RSS > 0 {
		fmt.Fprintf(&b, "  server %.2f cores %.0f MB", p.CPU, float64(p.RSS)/1e6)
	}
	if p.LastError != nil && p.Connected < p.Players {
		fmt.Fprintf(&b, "  (%v)", p.LastError)
	}
	return b.String()
}

// Report is the result of a run. All but Faults, FirstKeyMS, Reconnects and PublisherReconnects is
// about the measured time alone.
type Report struct {
	Streams int      `json:"streams"`
	Players int      `json:"players"`
	Play    []string `json:"play"`
	Sample  int      `json:"sample"`
	Seconds float64  `json:"seconds"`

	// Connected players were so at the end. Starved ones got less than half of what was sent in
	// some second, or, with HLS, had played all they had. Delivered ones were never starved, and
	// got as much as was sent up to a second before the end.
	Connected int `json:"connected"`
	Delivered int `json:"delivered"`
	Starved   int `json:"starved"`
	// Reconnects counts attempts to connect but the first of each player.
	Reconnects          uint64 `json:"reconnects"`
	PublisherReconnects uint64 `json:"publisher_reconnects"`

	// Gbit and GbitPerSecond count the bytes that arrived, framing included.
	Gbit          float64 `json:"gbit"`
	GbitPerSecond float64 `json:"gbit_per_second"`

	// LatencyMS is the time from a picture's sending to the arrival of its last byte at a player of
	// the sample.
	LatencyMS Quantiles `json:"latency_ms"`
	// FirstKeyMS is the time from the beginning of a player's connecting to the arrival of its
	// first key frame.
	FirstKeyMS Quantiles `json:"first_key_ms"`
	// GapMS is the time between the arrivals of two pictures at a player to which the server sends
	// them as they come.
	GapMS Quantiles `json:"gap_ms"`
	// PartMS is the time from the sending of the first picture of a part of Low-Latency HLS to the
	// arrival of the whole part.
	PartMS Quantiles `json:"part_ms"`
	// Storm players joined during the measurement; StormConnected were connected at its end.
	Storm           int       `json:"storm,omitempty"`
	StormConnected  int       `json:"storm_connected,omitempty"`
	StormFirstKeyMS Quantiles `json:"storm_first_key_ms"`
	// Jumps counts leaps over pictures, LostPictures those pictures.
	Jumps        uint64 `json:"jumps"`
	LostPictures uint64 `json:"lost_pictures"`
	Faults       Faults `json:"faults"`

	// Server is nil if no process was named.
	Server *ServerCost `json:"server,omitempty"`
	// OwnCPU is the CPU time of this tool in cores, 0 where the system does not tell. With a whole
	// core for itself the tool keeps up as long as this is well below 1 and PublishLateMS, the
	// worst delay of a message behind its time, is small.
	OwnCPU        float64 `json:"own_cpu"`
	PublishLateMS float64 `json:"publish_late_ms"`
	// DrainLateMS is the worst delay with which a connection was emptied whose bytes are thrown
	// away.
	DrainLateMS float64 `json:"drain_late_ms"`
	// Doubts say why the figures may tell more of this tool than of the server. Empty is good.
	Doubts []string `json:"doubts,omitempty"`
}

const (
	// maxOwnShare of the processors that this tool may use is the most that it may need without
	// becoming the bottleneck.
	maxOwnShare = 0.85
	// maxPublishLate and maxDrainLate are how late messages may be sent, and connections emptied,
	// so that latencies mean something, in milliseconds.
	maxPublishLate = 50
	maxDrainLate   = 400
)

// doubts lists why this tool may have been the bottleneck on so many processors.
func (r *Report) doubts(processors int) (found []string) {
	if r.OwnCPU > maxOwnShare*float64(processors) {
		found = append(found, fmt.Sprintf("the load tool needed %.2f of %d cores", r.OwnCPU, processors))
	}
	if r.PublishLateMS > maxPublishLate {
		found = append(found, fmt.Sprintf("the stream was published up to %.0f ms late", r.PublishLateMS))
	}
	if r.DrainLateMS > maxDrainLate {
		found = append(found, fmt.Sprintf("connections were emptied up to %.0f ms late", r.DrainLateMS))
	}
	return found
}

// ServerCost is what the server took.
type ServerCost struct {
	CPUSeconds        float64 `json:"cpu_seconds"`
	Cores             float64 `json:"cores"`
	CPUSecondsPerGbit float64 `json:"cpu_seconds_per_gbit"`
	// RSS is the resident memory at the end, in bytes.
	RSS          uint64  `json:"rss"`
	RSSPerPlayer float64 `json:"rss_per_player"`
}

// String returns the report as text of several lines.
func (r *Report) String() string {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-18s "+format+"\n", append([]any{what}, args...)...)
	}
	line("load", "%d streams, %d players, %.1f s, %s", r.Streams, r.Players, r.Seconds, strings.Join(r.Play, " "))
	line("players", "%d connected, %d delivered, %d starved, %d reconnects", r.Connected, r.Delivered, r.Starved, r.Reconnects)
	line("delivered", "%.2f Gbit, %.3f Gbit/s", r.Gbit, r.GbitPerSecond)
	quantiles := func(what string, q Quantiles) {
		if q.Count > 0 {
			line(what, "p50 %.1f  p90 %.1f  p99 %.1f  max %.1f ms  (%d)", q.P50, q.P90, q.P99, q.Max, q.Count)
		}
	}
	quantiles("latency", r.LatencyMS)
	quantiles("time between", r.GapMS)
	quantiles("part", r.PartMS)
	quantiles("first key frame", r.FirstKeyMS)
	if r.Storm > 0 {
		line("storm", "%d of %d connected", r.StormConnected, r.Storm)
		quantiles("first key frame", r.StormFirstKeyMS)
	}
	if r.Sample > 0 {
		line("jumps", "%d over %d pictures", r.Jumps, r.LostPictures)
		line("faults", "%d unreadable, %d backwards, %d bad starts, %d bad resumes",
			r.Faults.Unreadable, r.Faults.Backwards, r.Faults.BadStarts, r.Faults.BadResumes)
	}
	if s := r.Server; s != nil {
		line("server CPU", "%.2f s = %.3f cores, %.4f s/Gbit", s.CPUSeconds, s.Cores, s.CPUSecondsPerGbit)
		line("server memory", "%.1f MB, %.1f kB per player", float64(s.RSS)/1e6, s.RSSPerPlayer/1e3)
	}
	line("this tool", "%.2f cores, publishing at most %.1f ms late, %d publisher reconnects", r.OwnCPU, r.PublishLateMS, r.PublisherReconnects)
	for _, doubt := range r.Doubts {
		line("not sound", "%s", doubt)
	}
	return b.String()
}
