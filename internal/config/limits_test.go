package config

import (
	"strings"
	"testing"
)

// TestLimitsOfApps: an entry of server has its own limits, also none where the others have one.
func TestLimitsOfApps(t *testing.T) {
	file := "publish_max_bit_rate: 6M\npublish_codecs: [H264]\nserver:\n- {appname: live, publish_max_bit_rate: 0, publish_codecs: [AV1, Opus]}\n- {appname: other, publish_max_picture: 1280x720}"
	cfg, _ := given{file: file}.mustLoad(t)
	apps := cfg.ServerOptions().Apps
	if l := apps[0].PublishLimits; l.BitRate != 0 || l.Text("publish_codecs") != "AV1,Opus" || l.Picture.Long != 0 {
		t.Errorf("live: %+v", l)
	}
	if l := apps[1].PublishLimits; l.BitRate != 6_000_000 || l.Text("publish_codecs") != "H264" || l.Text("publish_max_picture") != "1280x720" {
		t.Errorf("other: %+v", l)
	}
	_, _, err := given{file: "server:\n- {appname: live, publish_max_picture: 1080p}"}.load(t)
	if err == nil || !strings.Contains(err.Error(), "1920x1080") {
		t.Errorf("a wrong limit: %v", err)
	}
}
