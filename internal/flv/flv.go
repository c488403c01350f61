// Package flv turns FLV tags and RTMP media messages, whose bodies are the same, into access units
// and back.
//
// It reads legacy bodies (FLV 10.1, Annex E.4) and Enhanced RTMP v1 and v2 bodies, called E-RTMP in
// its comments: ExVideoTagHeader, ExAudioTagHeader, ModEx, Multitrack. A Demuxer makes access units
// from messages, a Reader reads FLV files and streams, TagFormat and WebSocketFormat frame message
// bodies for players, AppendBody makes a body for a unit that has none.
package flv

import (
	"errors"

	"livego/internal/media"
)

// Message types of RTMP 1.0 §7.1, which are the tag types of FLV E.4.1.
const (
	TypeAudio    = 8
	TypeVideo    = 9
	TypeDataAMF3 = 15
	TypeData     = 18
)

// Errors of the Demuxer and the Reader, wrapped with what was being read.
var (
	// ErrTruncated: a body ends inside a field.
	ErrTruncated = errors.New("flv body is cut off")
	// ErrUnsupported: a message type, a data message or a file that is none of those read here.
	ErrUnsupported = errors.New("not supported in flv")
	// ErrLimit: more tracks, or more bytes, than the limits below.
	ErrLimit = errors.New("flv limit exceeded")
)

const (
	// maxTracks bounds the tracks of one kind in a publisher session, and so the units of one
	// message. trackId is 8 bits wide; an adaptive ladder has under 10, languages under 40.
	maxTracks = 64
	// maxHeader bounds a sequence header, which is kept as long as its track. Real ones are under 1
	// KiB; FLAC may add pictures.
	maxHeader = 256 << 10
	// maxMetadata bounds the message that is read for its values. 64 KiB is the RTMP limit before
	// publish; recorded files carry the times and positions of all key frames.
	maxMetadata = 1 << 20
	// maxColour bounds colour information that is read for its values, which has under 600 bytes.
	maxColour = 16 << 10
)

// Legacy SoundFormat (FLV E.4.2.1). 9 is the escape to ExAudioTagHeader.
const (
	soundMP3      = 2
	soundPCMA     = 7
	soundPCMU     = 8
	soundExHeader = 9
	soundAAC      = 10
	soundSpeex    = 11
	soundMP3At8k  = 14
)

// Legacy CodecID (FLV E.4.3.1). 12 was never standardised; Chinese delivery networks and their
// encoders use it.
const (
	videoAVC  = 7
	videoHEVC = 12
)

// Frame types (FLV E.4.3.1). Only the key frame lets decoding begin: whether it really does is the
// encoder's word, since the layers above must not look into NAL units of every frame.
const (
	frameKey     = 1
	frameInter   = 2
	frameCommand = 5
)

// exVideo is the flag of ExVideoTagHeader in a video body's first byte.
const exVideo = 0x80

// AVCPacketType and AACPacketType (FLV E.4.2.2, E.4.3.2): the first two hold for both.
const (
	legacyHeader = 0
	legacyFrame  = 1
	legacyEnd    = 2
)

// VideoPacketType and AudioPacketType of E-RTMP. 0, 1, 2 and 7 are the same in both.
const (
	packetSequenceStart = 0
	packetCodedFrames   = 1
	packetSequenceEnd   = 2
	packetModEx         = 7

	videoCodedFramesX    = 3
	videoMetadata        = 4
	videoMPEG2TSSequence = 5
	videoMultitrack      = 6

	audioMultichannel = 4
	audioMultitrack   = 5
)

// AvMultitrackType of E-RTMP.
const (
	oneTrack             = 0
	manyTracks           = 1
	manyTracksManyCodecs = 2
)

// modExTimestampOffsetNano is the only ModEx type defined. Others are skipped.
const modExTimestampOffsetNano = 0

// format is how a body names its codec: a FourCC, or legacy plus the codec id of video or the first
// byte of audio.
type format uint64

// legacy sets the numbers of legacy codecs apart from FourCCs, whatever bytes those have.
const legacy format = 1 << 32

// FourCCs of E-RTMP.
const (
	fourCCAVC  format = 'a'<<24 | 'v'<<16 | 'c'<<8 | '1'
	fourCCHEVC format = 'h'<<24 | 'v'<<16 | 'c'<<8 | '1'
	fourCCVVC  format = 'v'<<24 | 'v'<<16 | 'c'<<8 | '1'
	fourCCAV1  format = 'a'<<24 | 'v'<<16 | '0'<<8 | '1'
	fourCCVP8  format = 'v'<<24 | 'p'<<16 | '0'<<8 | '8'
	fourCCVP9  format = 'v'<<24 | 'p'<<16 | '0'<<8 | '9'

	fourCCAC3  format = 'a'<<24 | 'c'<<16 | '-'<<8 | '3'
	fourCCEAC3 format = 'e'<<24 | 'c'<<16 | '-'<<8 | '3'
	fourCCOpus format = 'O'<<24 | 'p'<<16 | 'u'<<8 | 's'
	fourCCMP3  format = '.'<<24 | 'm'<<16 | 'p'<<8 | '3'
	fourCCFLAC format = 'f'<<24 | 'L'<<16 | 'a'<<8 | 'C'
	fourCCAAC  format = 'm'<<24 | 'p'<<16 | '4'<<8 | 'a'
)

// fourCCs maps the FourCCs to codecs and, in AppendBody, back.
var fourCCs = []struct {
	format format
	kind   media.Kind
	codec  media.Codec
}{
	{fourCCAVC, media.Video, media.H264},
	{fourCCHEVC, media.Video, media.HEVC},
	{fourCCVVC, media.Video, media.VVC},
	{fourCCAV1, media.Video, media.AV1},
	{fourCCVP8, media.Video, media.VP8},
	{fourCCVP9, media.Video, media.VP9},
	{fourCCAC3, media.Audio, media.AC3},
	{fourCCEAC3, media.Audio, media.EAC3},
	{fourCCOpus, media.Audio, media.Opus},
	{fourCCMP3, media.Audio, media.MP3},
	{fourCCFLAC, media.Audio, media.FLAC},
	{fourCCAAC, media.Audio, media.AAC},
}
