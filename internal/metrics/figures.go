package metrics

import (
	"time"

	"livego/internal/event"
	"livego/internal/fanout"
	"livego/internal/hls"
	"livego/internal/spool"
)

// Figures are those of a server at a moment. Counts never go down while the server lives. Labels
// come from sets that are fixed by the code and the configuration: nothing that a client chooses is
// one, but for the names of streams.
type Figures struct {
	Streams  []Stream
	Sessions []Sessions
	Ended    []Ended
	Traffic  []Traffic
	// Refused counts publishers that were refused, by reason.
	Refused map[string]uint64
	// Tokens counts those that viewers showed, by what became of them.
	Tokens map[string]uint64

	// RingBytes is the memory of the rings of all streams.
	RingBytes int64
	Delivery  fanout.Stats
	HLS       hls.Totals
	// Rewind is nil where nothing is kept for rewinding.
	Rewind *spool.Stats

	// Recordings is nil where nothing is recorded, Cluster where this server is alone.
	Recordings *Recordings
	Cluster    *Cluster

	Relays []Relays
	// Hooks is nil where nobody is told what happens, Questions and ViewerQuestions where nobody is
	// asked about publishers or viewers.
	Hooks                      *Hooks
	Questions, ViewerQuestions *Questions
	Events                     map[event.Type]uint64

	Connections Connections
	Handshakes  []Handshakes
	// LogLines counts the lines of the log by level, LeftOut those that came too fast and were not
	// written.
	LogLines map[string]uint64
	LeftOut  uint64
	// Certificates says until when the certificates in use are good, by the option that names them.
	Certificates map[string]time.Time
}

// Stream is one stream with all its renditions.
type Stream struct {
	App, Name string
	// OnAir: it has a publisher. If not, its publisher was lost and is waited for.
	OnAir bool
	// Viewers watch it now, over all protocols.
	Viewers int
	// Received and Sent count bytes of media, of HLS none.
	Received, Sent uint64
	// Rate is what its publishers send, in bytes per second.
	Rate float64
	// KeyInterval is the time between its last two key frames, 0 if that is not known.
	KeyInterval time.Duration
}

// The roles of sessions.
const (
	Publisher = "publisher"
	Player    = "player"
)

// Sessions counts those that are open.
type Sessions struct {
	App, Role, Protocol string
	Count               int
}

// Ended counts sessions that are over, by one of few words for why.
type Ended struct {
	Role, Protocol, Reason string
	Count                  uint64
}

// Traffic sums up all sessions, those that are over too.
type Traffic struct {
	Role, Protocol string
	// Bytes are of media. Jumps counts of players how often one was moved forward because it had
	// fallen behind, of publishers how often the encoder's time jumped.
	Bytes, Jumps uint64
}

// Relays are those of a direction.
type Relays struct {
	Direction                       string
	States                          map[string]int
	Tries, Failures, Bytes, Skipped uint64
}

// Hooks are deliveries of events.
type Hooks struct {
	Delivered, Failed, Dropped, Missed, Tries uint64
	Waiting                                   int
}

// Questions counts the answers to whether somebody may publish or watch.
type Questions struct{ Allowed, Refused, Unanswered uint64 }

// Connections are those of all listeners.
type Connections struct {
	// Open are all of them, Viewers those of viewers. Limit and ViewerLimit are the most that there
	// may be, 0: not known.
	Open, Viewers, Limit, ViewerLimit int
	// Refused found no room. Evicted did nothing, and were closed to make room.
	Refused, Evicted uint64
}

// Handshakes counts connections that ended before anything was published, played or asked for.
type Handshakes struct {
	Protocol, Reason string
	Count            uint64
}

// Recordings are those in a folder or a bucket.
type Recordings struct {
	// Active are under way, Complete there.
	Active, Complete int
	// Queued waits for the local disk, Spooled waits there for the bucket, in bytes.
	Queued, Spooled int64
	// Stored counts files that are in the bucket, Bytes what is in them, and Took how long that
	// took. Failed counts tries that failed, Lost segments that are missing.
	Stored, Bytes, Failed, Lost uint64
	Took                        time.Duration
}

// Cluster is what this server has to do with others.
type Cluster struct {
	// Away: what the nodes share cannot be reached. Ahead is by how much its clock is ahead of this
	// server's.
	Away  bool
	Ahead time.Duration
	// LostClaims counts streams that this node had and another one has now.
	LostClaims uint64
	// Claims counts tries to become the home of a stream, by result: got, held, failed.
	Claims map[string]uint64
	// Nodes are all nodes by state: ready, draining, gone. Load is that of this one, from 0 to 1.
	Nodes map[string]int
	Load  float64
	// Copies are streams of other nodes that are here, Moves counts those that went on from another
	// home than before. Feeds are streams that go from here to other nodes.
	Copies, Feeds int
	Moves         uint64
	// Redirects counts viewers that were sent to other nodes.
	Redirects uint64
	// Hits, Misses, Coalesced and Failed count requests of HLS for streams of other nodes. Files
	// and Bytes are kept of them.
	Hits, Misses, Coalesced, Failed uint64
	Files                           int
	Bytes                           int64
}
