//! docker-py, unmodified, against hull.

use hull_tests::{Tool, daemon, need, python};

const SCRIPT: &str = r#"
import docker, io, tarfile
c = docker.from_env(timeout=30)
assert c.ping()
assert c.version()['Os'] == 'linux'
assert c.containers.run('busybox', 'echo hello', remove=True, network_mode='none') == b'hello\n'
try:
    c.containers.run('busybox', 'sh -c "echo no >&2; exit 3"', network_mode='none', remove=True)
    raise SystemExit('no error')
except docker.errors.ContainerError as e:
    assert e.exit_status == 3 and e.stderr == b'no\n', e
g = c.containers.run('busybox', ['sh', '-c', 'echo one; sleep 1000'], detach=True, name='py',
    network_mode='none', labels={'a': 'b'}, environment={'X': '1'}, mem_limit='64m',
    volumes={'data': {'bind': '/d', 'mode': 'rw'}})
g.reload()
assert g.status == 'running' and g.labels['a'] == 'b', g.attrs
code, out = g.exec_run(['sh', '-c', 'echo $X; cat /none'], demux=True)
assert code == 1 and out[0] == b'1\n' and b'none' in out[1], (code, out)
import time
for _ in range(100):
    if g.logs() == b'one\n': break
    time.sleep(0.05)
assert g.logs(timestamps=True).endswith(b'one\n')
assert 'sleep' in str(g.top())
assert [x.name for x in c.containers.list(filters={'label': 'a=b'})] == ['py']
g.pause(); g.unpause(); g.rename('py2')
s = g.attach_socket(params={'stdin': 1, 'stdout': 1, 'stream': 1}); s.close()
g.stop(timeout=0)
assert g.wait()['StatusCode'] == 137
assert c.api.inspect_container('py2')['State']['Status'] == 'exited'
g.start(); g.kill(); g.remove(force=True)
try:
    c.containers.get('py2')
    raise SystemExit('still there')
except docker.errors.NotFound:
    pass
i = c.images.get('busybox')
assert i.tag('copied', 'v1') and 'copied:v1' in [t for x in c.images.list() for t in x.tags]
data = b''.join(i.save(named=True))
c.images.remove('copied:v1'); c.images.remove('busybox')
assert [x.tags for x in c.images.load(data)] == [['busybox:latest']]
assert c.volumes.get('data').name == 'data'
c.volumes.get('data').remove()
assert any(e['Action'] == 'die' for e in c.events(since=1, until=int(time.time()) + 1, decode=True))
print('all of it')
"#;

#[test]
fn docker_py_does_what_it_does_with_docker() {
    let d = daemon!();
    need!("python3");
    let Some(python) = python::with_docker() else {
        return need::skip("docker-py cannot be installed: pip install docker failed");
    };
    let done = Tool::new(python, "-c").arg(SCRIPT).env("DOCKER_HOST", d.host()).ok();
    assert_eq!(done, "all of it");
}
