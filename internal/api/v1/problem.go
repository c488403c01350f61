package v1

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// withoutValues leaves out of problems what the caller sent: among it are channel keys, and answers
// end up in logs.
func withoutValues(_ huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*huma.ErrorModel); ok {
		for _, detail := range p.Errors {
			if detail != nil {
				detail.Value = nil
			}
		}
	}
	return v, nil
}

// problem is an error of an operation that says which part of the request is to blame; an empty
// location: none.
func problem(status int, location, detail string) error {
	if location == "" {
		return huma.NewError(status, detail)
	}
	return huma.NewError(status, detail, &huma.ErrorDetail{Location: location, Message: detail})
}

// writeProblem answers in place of an operation.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	body, _ := json.Marshal(huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail})
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// refuse is what the policy says in place of an operation.
func refuse(w http.ResponseWriter, _ *http.Request, reason string) {
	status := http.StatusForbidden
	if w.Header().Get("WWW-Authenticate") != "" {
		status = http.StatusUnauthorized
	}
	writeProblem(w, status, reason)
}

// failed makes a problem of an error that has no other meaning to the caller. It is logged, and not
// shown.
func (a *API) failed(what string, err error) error {
	var status huma.StatusError
	if errors.As(err, &status) {
		return err
	}
	a.opt.Log.Error("management API failed", "what", what, "err", err)
	return problem(http.StatusInternalServerError, "", what+" failed; the server's log says why")
}
