"""Templates say what Docker's say; the expected texts are those of Go's `text/template`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.cli.gotemplate import Template, struct
from orlop.core import errors

IMAGE = {
    "Os": "linux", "Size": 12, "RepoTags": ["a:1", "b:2"], "Parent": "",
    "Config": {"Env": ["A=b", "C=d"], "Cmd": None, "Volumes": None, "Labels": {"a": "b", "c.d": "e"}, "Tty": False,
               "ExposedPorts": {"80/tcp": {}}},
    "Layers": [{"Size": 1}, {"Size": 2}],
}  # fmt: skip


def render(template: str) -> str:
    return Template(template).render(struct(IMAGE))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{.Os}}/{{ .Size }}", "linux/12"),
        ("{{.Config.Env}} {{.Config.Labels}} {{.Config.Tty}}", "[A=b C=d] map[a:b c.d:e] false"),
        ("{{.Config.Cmd}} {{.Config.Volumes}} {{.Config.Healthcheck}} {{.Config.StopSignal}}|", "[] map[] <nil> |"),
        ("{{json .Config.Volumes}} {{json .RepoTags}} {{json .Os}}", 'null ["a:1","b:2"] "linux"'),
        ("{{range .RepoTags}}{{.}};{{end}}", "a:1;b:2;"),
        ("{{range $i, $tag := .RepoTags}}{{$i}}={{$tag}} {{end}}", "0=a:1 1=b:2 "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}},{{end}}", "a=b,c.d=e,"),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
        ("{{.Config.ExposedPorts}}", "map[80/tcp:{}]"),
        ("{{range .Layers}}{{.Size}}{{end}}", "12"),
        ('{{index .Config.Env 1}} {{index .Config.Labels "c.d"}} [{{index .Config.Labels "no"}}]', "C=d e []"),
        ("{{.Config.Labels.a}} {{.Config.Labels.no}}", "b <no value>"),
        ('{{if eq .Os "windows"}}w{{else if eq .Os "plan9" "linux"}}l{{else}}?{{end}}', "l"),
        ("{{if .Config.Cmd}}yes{{else}}no{{end}}{{if not .Parent}}!{{end}}", "no!"),
        ("{{if and .Os (gt .Size 5)}}big{{end}} {{or .Parent .Os}}", "big linux"),
        ("{{with .Config}}{{.Tty}} {{$.Os}}{{end}}", "false linux"),
        ("{{$x := .Os}}{{range .RepoTags}}{{$x}} {{end}}", "linux linux "),
        ('{{join .RepoTags ", "}} {{len .RepoTags}} {{split "a,b" ","}}', "a:1, b:2 2 [a b]"),
        ("{{.Os | upper | printf `%s!`}} {{title .Os}} {{lower `ABC`}}", "LINUX! Linux abc"),
        ('{{printf "%q %5d|%-4s|%%" .Os .Size "x"}}', '"linux"    12|x   |%'),
        ('a {{- " b " -}} c {{/* nothing */}}d', "a b c d"),
        ('{{println "x" 1}}{{print 1 2 "a"}}', "x 1\n1 2a"),
        ("{{slice .Os 1 3}} {{truncate .Os 2}} {{ne 1 2}} {{le 2 2}}", "in li true true"),
        ("{{(index .Layers 1).Size}}", "2"),
    ],
)  # fmt: skip
def test_a_template_says_what_gos_says(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{.Nope}}", "cannot find 'Nope'"),
        ("{{.Size.Nope}}", "cannot find 'Nope'"),
        ("{{.Config.Healthcheck.Test}}", "nothing is set there"),
        ("{{.Os", "unclosed action"),
        ("{{if .Os}}", "{{end}} is missing"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{}}", "missing value"),
        ("{{(.Os}}", "parenthesis"),
        ("{{.Os | }}", "missing value"),
        ("{{nosuch .Os}}", "function 'nosuch' is not defined"),
        ("{{$x}}", "undefined variable"),
        ("{{index .RepoTags 9}}", "index out of range"),
        ("{{range .Size}}{{end}}", "can't iterate"),
        ("{{upper 1}}", "error calling upper"),
        ("{{.Os .Size}}", "no function"),
        ("{{?}}", "unexpected '?'"),
    ],
)
def test_a_bad_template_says_what_is_wrong(template: str, complaint: str) -> None:
    with pytest.raises(errors.Invalid) as raised:
        render(template)
    assert complaint in raised.value.message
    assert raised.value.hint


@given(st.text(alphabet='{}.$|()"` \\abOsif:=,endrange-/*1', max_size=40))
def test_any_text_is_a_template_or_a_complaint(text: str) -> None:
    try:
        render(text)
    except errors.Invalid as error:
        assert error.message
