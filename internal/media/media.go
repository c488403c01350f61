// Package media defines the neutral unit that every protocol of the server speaks: a track and its
// access units.
//
// It knows no wire format, does no input or output and reads no clock.
package media

import (
	"context"
	"errors"
	"time"
)

// Kind says what a track carries.
type Kind uint8

// The kinds of track.
const (
	Video Kind = iota + 1
	Audio
	// Data is script data: metadata, cue points, captions.
	Data
)

func (k Kind) String() string {
	switch k {
	case Video:
		return "video"
	case Audio:
		return "audio"
	case Data:
		return "data"
	}
	return "unknown"
}

// Codec names a coding format. The zero value is a codec that nobody here knows: RTMP and FLV pass
// it on, packagers leave it out.
type Codec string

// The codecs that the server knows.
const (
	Unknown Codec = ""

	H264 Codec = "H264"
	HEVC Codec = "HEVC"
	VVC  Codec = "VVC"
	AV1  Codec = "AV1"
	VP8  Codec = "VP8"
	VP9  Codec = "VP9"

	AAC   Codec = "AAC"
	MP3   Codec = "MP3"
	Opus  Codec = "Opus"
	FLAC  Codec = "FLAC"
	AC3   Codec = "AC-3"
	EAC3  Codec = "E-AC-3"
	PCMA  Codec = "PCMA"
	PCMU  Codec = "PCMU"
	Speex Codec = "Speex"
)

// Track describes one elementary stream of a publisher session. It is immutable after it is made: a
// codec change is a new *Track, so a muxer sees it by comparing pointers.
type Track struct {
	Kind Kind
	// ID is the Enhanced RTMP v2 trackId, 0 for an ordinary stream. Video and audio are numbered
	// apart.
	ID    uint8
	Codec Codec
	// Name is how the wire calls a codec, for logs: a FourCC, or the number of an FLV codec id.
	Name string

	// Config is the decoder configuration record as ISO BMFF stores it: the payload of avcC, hvcC,
	// av1C, vpcC or vvcC; an AudioSpecificConfig; an OpusHead; the FLAC metadata blocks from "fLaC"
	// on. Nil for codecs without one.
	Config []byte
	// Parsed says that Config (or, for codecs without one, the first frame) was understood and the
	// fields below hold. A track whose header does not parse still goes to RTMP and FLV players.
	Parsed bool
	// Err says why the header did not parse, for one log line. Empty otherwise.
	Err string

	// NALLengthSize is the number of bytes of each NAL unit's length: 1 to 4, for H264, HEVC and
	// VVC. Of tracks in a stream it is 4.
	NALLengthSize int
	// ParameterSets holds all VPS, SPS and PPS in this order. For H264, HEVC and VVC.
	ParameterSets [][]byte
	Width, Height int
	// FrameRate is pictures per second, 0 when the header does not say.
	FrameRate float64
	// Colour is what the sender said beside the bitstream before the random access point with which
	// the track began.
	Colour ColourDescription
	// DolbyVision is the profile of the Dolby Vision metadata in that random access point, as HEVC
	// numbers them: 5 if the pictures mean nothing without, 8 if they do, 0 for none. In AV1 both
	// are of profile 10.
	DolbyVision uint8

	// SampleRate in Hz and Channels are what a decoder puts out (for HE-AAC the extended rate).
	SampleRate, Channels int
	// SamplesPerFrame is the length of an audio frame in samples at SampleRate, 0 when it varies.
	SamplesPerFrame int
}

// Header says what a unit that carries no sample is for.
type Header uint8

// What a unit may be. Of each kind but Sample, SequenceEnd and Command the latest of each track is
// sent to a player that joins.
const (
	// Sample: an access unit, in Data.
	Sample Header = iota
	// SequenceHeader: the message from which Track was made.
	SequenceHeader
	// SequenceEnd: the sender says that the track's sequence ends here.
	SequenceEnd
	// Multichannel: the Enhanced RTMP v2 multichannel configuration of an audio track.
	Multichannel
	// Colour: the Enhanced RTMP metadata (colorInfo) of a video track.
	Colour
	// Metadata: an onMetaData message on the data track.
	Metadata
	// Command: a message of a track that is none of the above and only passed on.
	Command
)

// AccessUnit is one picture or audio frame with its decode time, one script data message, or one
// header message of a track. Units are handed around by value; what Body and Data point to is
// immutable once the unit was written, and shared by all.
type AccessUnit struct {
	Track *Track
	// Header tells samples from messages that carry none.
	Header Header
	// RandomAccess: decoding may begin with this unit. Always true for audio samples.
	RandomAccess bool
	// Recovery: so it may, but what follows is right only some time later, as with intra refresh,
	// or not all of it, as in open GOPs of H.264. No sync sample (ISO/IEC 14496-15 §6.2), and
	// nothing for decoders that begin with IDR pictures only. Set by repair.
	Recovery bool
	// Skipped: a leading picture that cannot be decoded if decoding began with the random access
	// point before it (RASL). Set by repair.
	Skipped bool
	// Join: a new reader may begin here: a random access point of the video, or, without video, any
	// audio unit. Set by live.
	Join bool
	// Discontinuity: time or publisher session jumped just before this unit, though DTS goes on
	// rising. Set by live.
	Discontinuity bool
	// Shared: Body is that of the unit before (a message that carries several tracks goes out
	// once).
	Shared bool
	// Multitrack: Body is of a form that carries several tracks, or may. Players that do not know
	// it get a body of their own.
	Multitrack bool
	// MessageType is the RTMP message type or FLV tag type of Body: 8, 9 or 18.
	MessageType uint8
	// Epoch numbers the publisher session, rising over the life of a stream. Set by live.
	Epoch uint32
	// Nanos is the ModEx presentation offset, 0 to 999,999 ns, not part of PTS.
	Nanos uint32
	// Seq numbers the units of a stream, rising by one. Set by live.
	Seq uint64
	// DTS and PTS are decode and presentation time on the stream's timeline, where DTS does not
	// fall within a track. From a demuxer: on the encoder's timeline, whatever it says. DTS is a
	// whole number of milliseconds.
	DTS, PTS time.Duration
	// Arrived is the wall clock, in nanoseconds since 1970, at the node where the unit entered the
	// system. Set by server.
	Arrived int64
	// Body is the RTMP message body or FLV tag body exactly as received. Nil for units with another
	// origin.
	Body []byte
	// Data is the sample: length-prefixed NAL units, low-overhead OBUs, a raw audio frame; a
	// sub-slice of Body where there is one. Empty for a silent audio message. Of headers
	// Multichannel and Colour have it, the content behind codec and track; others have nil.
	Data []byte
}

// ErrSuspended is returned by a Reader once when the publisher was lost and may come back: all
// units so far were read. The next Read waits for the publisher's return, or for the end of the
// stream.
var ErrSuspended = errors.New("publisher lost, stream may resume")

// Reader hands out the units of a stream in order. The first ones are the headers in force, the
// next is a unit with Join set. A Reader has one user at a time.
type Reader interface {
	// Read waits until there is at least one unit, then copies as many as fit into dst. It returns
	// ErrSuspended as said there, io.EOF at the end of the stream, and the cause of ctx when that
	// ends first. No unit comes with an error.
	Read(ctx context.Context, dst []AccessUnit) (int, error)
}

// Writer takes the units of one publisher session in order. It never waits.
type Writer interface {
	Write(units []AccessUnit) error
}
