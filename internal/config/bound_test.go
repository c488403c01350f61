package config

import (
	"reflect"
	"strings"
	"testing"

	"livego/internal/server"
)

// fields collects the values in a structure of options, by the paths of their fields. Within are
// the options of packages and what is made of several options; everything else is one value.
func fields(v reflect.Value, path string, all map[string]any) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch name := f.Type.Name(); {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Struct &&
			(strings.HasSuffix(name, "Options") || name == "App" || name == "ACME" || name == "PublishLimits" || name == "Networks"):
			fields(v.Field(i), path+f.Name+".", all)
		case f.Type.Kind() != reflect.Func:
			all[path+f.Name] = v.Field(i).Interface()
		}
	}
}

// changed returns the paths of the fields in which two structures differ.
func changed(a, b any) (paths []string) {
	before, after := make(map[string]any), make(map[string]any)
	fields(reflect.ValueOf(a), "", before)
	fields(reflect.ValueOf(b), "", after)
	for path, value := range after {
		if !reflect.DeepEqual(value, before[path]) {
			paths = append(paths, path)
		}
	}
	return paths
}

// TestEachRowIsOneField: a row of the table reaches one field, which no other row reaches.
func TestEachRowIsOneField(t *testing.T) {
	owner := make(map[string]string)
	for _, o := range options {
		cfg := Default()
		if err := o.bind(&cfg).parse(samples()[o.key]); err != nil {
			t.Fatal(err)
		}
		paths := changed(Default(), cfg)
		if len(paths) != 1 {
			t.Errorf("%s reaches %d fields: %q", o.key, len(paths), paths)
			continue
		}
		if other, taken := owner[paths[0]]; taken {
			t.Errorf("%s and %s reach %s", o.key, other, paths[0])
		}
		owner[paths[0]] = o.key
	}
}

// TestEachKeyOfAnAppIsOneField is the same for the keys of an app. What is everywhere too is an
// option of that name.
func TestEachKeyOfAnAppIsOneField(t *testing.T) {
	texts := map[string]string{
		"appname": "x", "live": "true", "hls": "true", "flv": "true", "api": "true", "static_push": "rtmp://a.example/x",
		"pull": "rtmp://a.example/x", "pull_idle": "7s", "publish_allow": "10.0.0.0/8", "publish_deny": "10.0.0.0/8",
		"play_allow": "10.0.0.0/8", "play_deny": "10.0.0.0/8", "max_streams": "1", "max_viewers": "2",
	}
	owner := make(map[string]string)
	for _, k := range appKeys {
		text := texts[k.name]
		if k.everywhere {
			text = samples()[k.name]
		}
		if text == "" {
			t.Fatalf("no sample of %s: add one", k.name)
		}
		var app server.App
		if err := k.bind(&app).parse(text); err != nil {
			t.Fatal(err)
		}
		paths := changed(server.App{}, app)
		if len(paths) != 1 {
			t.Errorf("%s reaches %d fields: %q", k.name, len(paths), paths)
			continue
		}
		if other, taken := owner[paths[0]]; taken {
			t.Errorf("%s and %s reach %s", k.name, other, paths[0])
		}
		owner[paths[0]] = k.name
	}
}
