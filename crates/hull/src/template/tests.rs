//! Templates against what Go's text/template makes of them.

use super::Template;
use super::value::Value;

const DATA: &str = r#"{
    "Name": "/web", "Id": "abcdef0123456789", "Pid": 42, "Running": true, "Stopped": false,
    "Empty": "", "Nothing": null, "Ratio": 1.5, "Args": ["a", "b", "c"], "None": [],
    "State": {"Status": "running", "Code": 0, "Health": null},
    "Labels": {"z": "1", "com.example/a": "x y", "b": "2"},
    "Mounts": [{"Source": "/a", "Target": "/b"}, {"Source": "/c", "Target": "/d"}],
    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "90/udp": null}
}"#;

fn render(template: &str) -> Result<String, String> {
    let mut data: Value = serde_json::from_str(DATA).unwrap();
    if let Value::Map(entries) = &mut data {
        let labels = vec![("k".to_owned(), "v".to_owned())];
        entries.push(("Label".to_owned(), Value::Lookup(labels)));
    }
    let template = Template::parse(template).map_err(|error| error.to_string())?;
    template.render(&data).map_err(|error| error.to_string())
}

#[test]
fn fields_and_literals() {
    for (template, want) in [
        ("plain", "plain"),
        ("{{.Name}}", "/web"),
        ("{{ .State.Status }} {{.Pid}}", "running 42"),
        ("{{.Running}}{{.Ratio}}", "true1.5"),
        ("{{.Nothing}}", "<no value>"),
        ("{{.State.Missing}}", "<no value>"),
        ("{{.Args}} {{.None}}", "[a b c] []"),
        ("{{.Labels}}", "map[b:2 com.example/a:x y z:1]"),
        ("{{\"a\\tb\\x41\\u00e9\"}}{{`r\\w`}}", "a\tbAér\\w"),
        ("{{1}} {{-2}} {{0x1f}} {{1.50}} {{'a'}}", "1 -2 31 1.5 97"),
        ("{{true}}{{$.Pid}}", "true42"),
        ("{{.Label \"k\"}}|{{.Label \"none\"}}", "v|"),
        ("{{(index .Mounts 1).Target}}", "/d"),
        ("{{/* a comment */}}x{{- /* b */ -}} y", "xy"),
        ("a {{- .Pid -}} b", "a42b"),
        ("{{`{{`}}", "{{"),
    ] {
        assert_eq!(render(template).as_deref(), Ok(want), "{template}");
    }
}

#[test]
fn functions_of_go_and_docker() {
    for (template, want) in [
        ("{{json .State}}", r#"{"Status":"running","Code":0,"Health":null}"#),
        ("{{json .Labels}}", r#"{"z":"1","com.example/a":"x y","b":"2"}"#),
        ("{{.Args | json}}", r#"["a","b","c"]"#),
        ("{{join .Args \", \"}}", "a, b, c"),
        ("{{upper .Name}}{{lower \"ABC\"}}{{title \"some words\"}}", "/WEBabcSome Words"),
        ("{{split \"a:b\" \":\" | len}}", "2"),
        ("{{len .Args}}{{len .Name}}{{len .Labels}}{{len .Nothing}}", "3430"),
        ("{{index .Labels \"com.example/a\"}}", "x y"),
        ("{{index .Labels \"none\"}}|", "|"),
        ("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"),
        ("{{index .Ports \"80/tcp\" 0 | json}}", r#"{"HostIp":"0.0.0.0","HostPort":"8080"}"#),
        ("{{slice .Id 0 4}}{{slice .Args 1}}", "abcd[b c]"),
        ("{{truncate .Id 3}}{{pad \"x\" 1 2}}|", "abc x  |"),
        ("{{print 1 2 \"a\" true}}", "1 2atrue"),
        ("{{println .Pid \"x\"}}", "42 x\n"),
        (
            "{{printf \"%s-%05d-%q-%x-%5.2f|%-4s|%4s|%t%%\" .Name .Pid \"a\\\"b\" 255 .Ratio \"l\" \"r\" true}}",
            "/web-00042-\"a\\\"b\"-ff- 1.50|l   |   r|true%",
        ),
        (
            "{{printf \"%d\" \"x\"}} {{printf \"%s\"}} {{printf \"a\" 1}}",
            "%!d(string=x) %!s(MISSING) a%!(EXTRA int=1)",
        ),
        ("{{eq .Pid 42}}{{eq .Pid 1 42}}{{ne .Name \"x\"}}", "truetruetrue"),
        ("{{lt 1 2}}{{ge \"b\" \"a\"}}{{gt 1 2}}{{le 2 2}}", "truetruefalsetrue"),
        ("{{and .Running .Pid}} {{or .Empty .Nothing \"d\"}} {{not .Running}}", "42 d false"),
        ("{{and .Nothing .Nothing.Deep}}", "<no value>"),
        ("{{.Nothing | or \"x\"}}", "x"),
    ] {
        assert_eq!(render(template).as_deref(), Ok(want), "{template}");
    }
}

#[test]
fn conditions_loops_and_variables() {
    for (template, want) in [
        ("{{if .Running}}up{{else}}down{{end}}", "up"),
        ("{{if .Empty}}a{{else if .Stopped}}b{{else if .Pid}}c{{else}}d{{end}}", "c"),
        ("{{if and .Running (eq .Pid 42)}}y{{end}}", "y"),
        ("{{range .Args}}<{{.}}>{{end}}", "<a><b><c>"),
        ("{{range $i, $a := .Args}}{{if $i}},{{end}}{{$i}}={{$a}}{{end}}", "0=a,1=b,2=c"),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "b=2;com.example/a=x y;z=1;"),
        ("{{range .None}}x{{else}}none{{end}}", "none"),
        ("{{range .Mounts}}{{.Source}}:{{.Target}} {{$.Pid}} {{end}}", "/a:/b 42 /c:/d 42 "),
        ("{{range .Args}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"),
        ("{{range .Args}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
        ("{{with .State}}{{.Status}}{{end}}{{with .Nothing}}x{{else}}y{{end}}", "runningy"),
        ("{{with $x := .State}}{{$x.Code}}{{end}}", "0"),
        ("{{$n := 1}}{{range .Args}}{{$n = .}}{{end}}{{$n}}", "c"),
        ("{{$n := 1}}{{if true}}{{$n := 2}}{{$n}}{{end}}{{$n}}", "21"),
        (
            "{{range $p, $b := .Ports}}{{$p}}{{if $b}}->{{(index $b 0).HostPort}}{{end}} {{end}}",
            "80/tcp->8080 90/udp ",
        ),
        ("{{if .State.Health}}h{{else}}no{{end}}", "no"),
    ] {
        assert_eq!(render(template).as_deref(), Ok(want), "{template}");
    }
}

#[test]
fn mistakes_are_errors_and_never_panics() {
    for template in [
        "{{",
        "{{.Name",
        "}}{{end}}",
        "{{if}}x{{end}}",
        "{{if .A}}",
        "{{else}}",
        "{{nofunc .A}}",
        "{{.Missing}}",
        "{{.Nothing.Deep}}",
        "{{.Name.Deep}}",
        "{{index .Args 9}}",
        "{{index .Args -1}}",
        "{{index .Pid 1}}",
        "{{slice .Name 3 1}}",
        "{{slice .Name 99}}",
        "{{slice \"é\" 1}}",
        "{{lt 1 \"a\"}}",
        "{{eq 1 \"1\"}}",
        "{{len 1}}",
        "{{join .Pid \",\"}}",
        "{{upper 1}}",
        "{{$x}}",
        "{{$x = 1}}",
        "{{\"unterminated}}",
        "{{`raw}}",
        "{{'ab'}}",
        "{{\"\\z\"}}",
        "{{|}}",
        "{{.Name |}}",
        "{{1 2}}",
        "{{.Name 1}}",
        "{{.Label}}{{.Label 1 2}}",
        "{{(.Name}}",
        "{{)}}",
        "{{break}}",
        "{{range 5}}{{end}}",
        "{{define \"x\"}}{{end}}",
        "{{template \"x\"}}",
        "{{/* x }}",
        "{{range $a, $b, $c := .Args}}{{end}}",
        "{{$a, $b := .Args}}",
        "{{json}}",
        "{{and}}",
        "{{printf \"%99999999999d\" 1}}",
        "{{printf \"%\"}}",
        "{{99999999999999999999999e999999}}",
        "{{\u{1}}}",
        "{{if .Running}}{{else}}{{else}}{{end}}",
        "{{- }}",
        "{{0x}}",
        "{{. .x}}",
        "{{nil.x}}",
    ] {
        assert!(render(template).is_err(), "{template} gave {:?}", render(template));
    }
}

#[test]
fn a_template_cannot_exhaust_the_machine() {
    let deep = "{{if .Running}}".repeat(2_000) + &"{{end}}".repeat(2_000);
    assert!(render(&deep).unwrap_err().contains("deeper"), "depth");
    let parens = format!("{{{{{}1{}}}}}", "(".repeat(20_000), ")".repeat(20_000));
    assert!(render(&parens).unwrap_err().contains("deeper"), "parentheses");
    let chain = "{{else if .Empty}}".repeat(3_000);
    assert!(render(&format!("{{{{if .Empty}}}}{chain}{{{{end}}}}")).is_err(), "else if");
    assert!(render(&"x".repeat(100_000)).is_err(), "length");
    let list: Vec<u32> = (0..1000).collect();
    let data: Value = serde_json::from_str(&format!("{{\"L\": {list:?}}}")).unwrap();
    let nested = "{{range $.L}}".repeat(20) + &"{{end}}".repeat(20);
    let ended = Template::parse(&nested).unwrap().render(&data);
    assert!(ended.unwrap_err().to_string().contains("steps"), "steps");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_engine_panic(text in "(\\{\\{|\\}\\}|-|\\.|\\$|[a-z]{1,5}|\"|`|'|\\(|\\)|\\||:=|=|,| |[0-9]|%|é){0,40}") {
        drop(render(&text));
    }
}
