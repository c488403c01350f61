package codec

import (
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/flac"

	"livego/internal/bits"
	"livego/internal/media"
)

// Audio object types (ISO/IEC 14496-3 table 1.17).
const (
	objectMain     = 1
	objectLC       = 2
	objectScalable = 6
	objectERBSAC   = 22
	objectEscape   = 31
)

// maxRate bounds a sampling frequency that is written out: more than any codec has.
const maxRate = 768_000

// audioConfig is what parseAAC collects from an AudioSpecificConfig.
type audioConfig struct {
	object           uint32
	rate, channels   int
	extensionRate    int // 0 without SBR
	parametricStereo bool
	samplesPerFrame  int // of the core
}

// parseAAC reads an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1). SBR and parametric stereo are
// seen where the configuration names them, in either of the two ways (§1.6.5); encoders that leave
// them implicit are taken at the core's rate.
func parseAAC(t *media.Track) error {
	r := bits.NewReader(t.Config)
	begin := ReadAACConfig(&r)
	channelConfig := begin.Layout
	c := audioConfig{
		object: begin.Object, rate: begin.Rate, channels: channelsOf(channelConfig),
		extensionRate: begin.ExtensionRate, parametricStereo: begin.Signalled == ObjectPS,
	}
	if c.isGeneralAudio() {
		c.readGeneralAudio(&r, channelConfig == 0)
	}
	switch {
	case r.Bad:
		return errCutOff
	case c.object == 0:
		return errNoObject
	}
	if c.extensionRate == 0 && c.isGeneralAudio() && channelConfig != 0 {
		c.readSyncExtension(&r)
	}
	return c.fill(t)
}

// SameSound says that the headers of two tracks of AAC mean the same sound, though they may be
// written in different ways: some encoders name what is left out, or repeat it, in some of them.
func SameSound(a, b *media.Track) bool {
	if a.Codec != media.AAC || b.Codec != media.AAC || !a.Parsed || !b.Parsed {
		return false
	}
	if a.SampleRate != b.SampleRate || a.Channels != b.Channels || a.SamplesPerFrame != b.SamplesPerFrame {
		return false
	}
	const objectLTP = 4 // those after it have more in their headers
	ra, rb := bits.NewReader(a.Config), bits.NewReader(b.Config)
	ca, cb := ReadAACConfig(&ra), ReadAACConfig(&rb)
	return ca.Object <= objectLTP && ca.Object == cb.Object && ca.Rate == cb.Rate && ca.Layout > 0 && ca.Layout == cb.Layout
}

// channelsOf returns the number of channels of a channelConfiguration (table 1.19), 0 where it does
// not say.
func channelsOf(channelConfig uint32) int {
	switch channelConfig {
	case 1, 2, 3, 4, 5, 6:
		return int(channelConfig)
	case 11:
		return 7
	case 7, 12, 14:
		return 8
	}
	return 0
}

// isGeneralAudio says whether a GASpecificConfig follows, which holds the frame length.
func (c *audioConfig) isGeneralAudio() bool {
	switch c.object {
	case objectMain, objectLC, 3, 4, objectScalable, 7, 17, 19, 20, 21, objectERBSAC, 23:
		return true
	}
	return false
}

// readGeneralAudio reads a GASpecificConfig (§4.4.1) up to what is needed.
func (c *audioConfig) readGeneralAudio(r *bits.Reader, programConfig bool) {
	c.samplesPerFrame = 1024
	if r.Flag() { // frameLengthFlag
		c.samplesPerFrame = 960
	}
	if r.Flag() { // dependsOnCoreCoder
		r.Skip(14)
	}
	extension := r.Flag()
	if programConfig {
		c.channels = readProgramConfig(r)
	}
	if c.object == objectScalable || c.object == 20 {
		r.Skip(3) // layerNr
	}
	if !extension {
		return
	}
	switch c.object {
	case objectERBSAC:
		r.Skip(5 + 11)
	case 17, 19, 20, 23:
		r.Skip(3)
	}
	r.Skip(1) // extensionFlag3
}

// readProgramConfig returns the number of channels of a program_config_element (§4.4.1.1).
func readProgramConfig(r *bits.Reader) int {
	r.Skip(4 + 2 + 4) // tag, object type, sampling frequency
	pairs := int(r.Bits(4) + r.Bits(4) + r.Bits(4))
	lfe := int(r.Bits(2))
	r.Skip(3 + 4) // associated data, coupling channels
	for _, size := range [...]int{4, 4, 3} {
		if r.Flag() { // mono, stereo, matrix mix-down
			r.Skip(size)
		}
	}
	channels := lfe
	for range pairs {
		channels += 1 + int(r.Bits(1)) // is_cpe
		r.Skip(4)
	}
	return channels
}

// readSyncExtension reads the backward compatible signalling of SBR and parametric stereo at the
// end, if there is one (§1.6.5).
func (c *audioConfig) readSyncExtension(r *bits.Reader) {
	const syncSBR, syncPS = 0x2b7, 0x548
	if r.Bits(11) != syncSBR || readObject(r) != ObjectSBR || !r.Flag() {
		return
	}
	rate, _ := readRate(r)
	if r.Bad {
		return
	}
	c.extensionRate = rate
	if r.Bits(11) == syncPS {
		c.parametricStereo = r.Flag()
	}
}

func (c *audioConfig) fill(t *media.Track) error {
	if c.rate == 0 || c.rate > maxRate {
		return errors.New("no sampling frequency")
	}
	if c.channels == 0 {
		return errors.New("no channel configuration")
	}
	t.SampleRate, t.Channels, t.SamplesPerFrame = c.rate, c.channels, c.samplesPerFrame
	switch c.extensionRate {
	case 0, c.rate: // without SBR, or SBR that only adds what the core's rate can hold
	case 2 * c.rate:
		t.SampleRate, t.SamplesPerFrame = c.extensionRate, 2*c.samplesPerFrame
	default:
		return errors.New("SBR at an impossible rate")
	}
	if c.parametricStereo && t.Channels == 1 {
		t.Channels = 2
	}
	return nil
}

// parseOpus reads an OpusHead (RFC 7845 §5.1). An empty one stands for mono or stereo (E-RTMP v2,
// ExAudioTagBody); Config then is the OpusHead that says so. Opus always decodes to 48 kHz.
func parseOpus(t *media.Track) error {
	if len(t.Config) == 0 {
		t.Config = []byte{'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1, 2, 0, 0, 0x80, 0xBB, 0, 0, 0, 0, 0}
	}
	if len(t.Config) < 19 || string(t.Config[:8]) != "OpusHead" {
		return errors.New("not an OpusHead")
	}
	if t.Config[8]>>4 != 0 || t.Config[9] == 0 { // the minor version may differ
		return errVersion
	}
	t.SampleRate, t.Channels = 48000, int(t.Config[9])
	return nil
}

// parseFLAC reads the marker and the STREAMINFO block, which comes first (RFC 9639 §8.1, §8.2).
func parseFLAC(t *media.Track) error {
	const blockHeader, streamInfo = 4, 34
	if len(t.Config) < 4+blockHeader+streamInfo || string(t.Config[:4]) != "fLaC" || t.Config[4]&0x7F != 0 {
		return errors.New("no fLaC marker and STREAMINFO")
	}
	var parsed flac.StreamInfo
	if err := parsed.Unmarshal(t.Config[4+blockHeader:]); err != nil {
		return fmt.Errorf("STREAMINFO: %w", err)
	}
	if parsed.SampleRate == 0 {
		return errors.New("STREAMINFO without sampling frequency")
	}
	t.SampleRate, t.Channels = int(parsed.SampleRate), int(parsed.ChannelCount)
	if parsed.MinBlockSize == parsed.MaxBlockSize {
		t.SamplesPerFrame = int(parsed.MaxBlockSize)
	}
	return nil
}
