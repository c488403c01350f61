package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Version says which program answers.
type Version struct {
	Version string    `json:"version"`
	Go      string    `json:"go" example:"go1.26.8"`
	Started time.Time `json:"started"`
}

// Config is the configuration in force.
type Config struct {
	File    string   `json:"file" doc:"The file that was read, empty if none was."`
	Options []Option `json:"options" nullable:"false"`
	Apps    []App    `json:"apps" nullable:"false"`
}

// Option is one option.
type Option struct {
	Name    string `json:"name" example:"rtmp_addr"`
	Value   string `json:"value" doc:"As in the file. Secrets are hidden, and URLs are without what may be a password."`
	Default string `json:"default"`
	Doc     string `json:"doc"`
	Reload  bool   `json:"reload" doc:"A reload takes over a new value; all others need a new start."`
}

// Reloaded names the options that have changed in the configuration.
type Reloaded struct {
	Taken []string `json:"taken" nullable:"false" doc:"In force now."`
	Left  []string `json:"left" nullable:"false" doc:"They need a new start."`
}

// App is one application.
type App struct {
	Name       string `json:"name" example:"live"`
	Live       bool   `json:"live"`
	HLS        bool   `json:"hls"`
	FLV        bool   `json:"flv"`
	StaticPush int    `json:"static_push" doc:"To how many servers its streams are pushed."`
	ViewerAuth string `json:"viewer_auth" enum:"off,token,hook" doc:"What viewers need."`
	Record     string `json:"record" enum:"off,all,api" doc:"Which of its streams are recorded."`
}

// Listener is a port of the server, by which players and encoders reach it under the name by which
// the caller does.
type Listener struct {
	Protocol string `json:"protocol" enum:"rtmp,rtmps,http-flv,ws-flv,hls"`
	Scheme   string `json:"scheme" doc:"Of its URLs." example:"rtmp"`
	Port     int    `json:"port" example:"1935"`
}

func (a *API) about() {
	const tag = "Server"
	huma.Register(a.api, operation("getConfig", http.MethodGet, "/config", tag, "The configuration in force, without secrets"),
		func(context.Context, *struct{}) (*struct{ Body Config }, error) {
			return &struct{ Body Config }{a.opt.Config()}, nil
		})
	huma.Register(a.api, operation("listListeners", http.MethodGet, "/listeners", tag, "On which ports there is what"),
		func(_ context.Context, in *Paging) (*Listing[Listener], error) {
			return page(*in, "listeners", List[Listener]{Items: a.opt.Listeners()}, func(l Listener) string { return l.Protocol + " " + l.Scheme })
		})
	reload := operation("reloadConfig", http.MethodPost, "/config/reload", tag, "Read the configuration again")
	reload.Description = "What can change while the server runs is taken over, those who are connected stay. If anything is wrong with the " +
		"configuration, nothing changes. The same happens on SIGHUP, by livego reload, and when the file changes."
	reload.DefaultStatus = http.StatusOK
	huma.Register(a.api, reload, func(ctx context.Context, _ *struct{}) (*struct{ Body Reloaded }, error) {
		taken, left, err := a.opt.Reload(ctx)
		if err != nil {
			return nil, problem(http.StatusUnprocessableEntity, "", err.Error())
		}
		return &struct{ Body Reloaded }{Reloaded{append([]string{}, taken...), append([]string{}, left...)}}, nil
	})
	huma.Register(a.api, operation("getVersion", http.MethodGet, "/version", tag, "Which program answers"),
		func(context.Context, *struct{}) (*struct{ Body Version }, error) {
			return &struct{ Body Version }{a.opt.Version}, nil
		})
}
