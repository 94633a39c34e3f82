"""What each image is made of: packages, files of its own, how it starts, the names it is known by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NOT_NEEDED = (
    # Package management, terminals and networking that only maintainer scripts or administrators use.
    "base-files",
    "debconf",
    "debianutils",
    "dpkg",
    "gcc-12-base",
    "init-system-helpers",
    "iproute2",
    "libbpf1",
    "libcap2-bin",
    "libdb5.3",
    "libelf1",
    "libmnl0",
    "libsasl2-modules-db",
    "libtirpc-common",
    "libtirpc3",
    "libxtables12",
    "lsb-base",
    "mawk",
    "media-types",
    "perl",
    "perl-base",
    "perl-modules-5.36",
    "tar",
)
SHELL = ("bash", "coreutils", "curl", "dash", "grep", "hostname", "procps", "sed")
"""What the tutorials' `kubectl exec` calls."""

PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nginx:x:101:101:nginx user:/nonexistent:/bin/false
redis:x:999:999:redis:/data:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = """root:x:0:
daemon:x:1:
bin:x:2:
tty:x:5:
www-data:x:33:
nginx:x:101:
redis:x:999:
nogroup:x:65534:
"""
NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"


@dataclass(frozen=True)
class Recipe:
    names: tuple[str, ...]
    packages: tuple[str, ...]
    command: tuple[str, ...]
    without: tuple[str, ...] = ()
    """Packages left out beside `NOT_NEEDED`: what needs them is not used here."""
    entrypoint: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Path to text; a path that ends with a slash is a directory; executable if the text starts with `#!`."""
    links: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, int] = field(default_factory=dict)
    """Path to the uid and gid that own it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    stop_signal: str = ""
    ports: tuple[str, ...] = ()
    has_busybox: bool = False
    """Whether the applets of busybox get their links."""


def _tags(name: str, *tags: str) -> tuple[str, ...]:
    return tuple(f"{name}:{tag}" for tag in tags)


NGINX_CONF = """user  nginx;
worker_processes  1;
error_log  /var/log/nginx/error.log notice;
pid        /var/run/nginx.pid;
events { worker_connections  1024; }
http {
    include       /etc/nginx/mime.types;
    default_type  application/octet-stream;
    access_log  /var/log/nginx/access.log;
    sendfile        on;
    keepalive_timeout  65;
    include /etc/nginx/conf.d/*.conf;
}
"""
NGINX_DEFAULT = """server {
    listen       80;
    server_name  localhost;
    location / {
        root   /usr/share/nginx/html;
        index  index.html index.htm;
    }
}
"""
NGINX_INDEX = """<!DOCTYPE html>
<html>
<head><title>Welcome to nginx!</title></head>
<body>
<h1>Welcome to nginx!</h1>
<p>This page is served by nginx inside a container.</p>
</body>
</html>
"""
HTTPD_MODULES = ("mpm_event", "authz_core", "dir", "mime", "alias", "env", "setenvif", "headers", "status")
HTTPD_CONF = "".join(
    [
        'ServerRoot "/usr/local/apache2"\nListen 80\nServerName localhost\n',
        *(f"LoadModule {module}_module modules/mod_{module}.so\n" for module in HTTPD_MODULES),
        "User www-data\nGroup www-data\nPidFile logs/httpd.pid\n",
        'DocumentRoot "/usr/local/apache2/htdocs"\n',
        '<Directory "/">\n  AllowOverride none\n  Require all denied\n</Directory>\n',
        '<Directory "/usr/local/apache2/htdocs">\n  Options FollowSymLinks\n  Require all granted\n</Directory>\n',
        "DirectoryIndex index.html\nTypesConfig conf/mime.types\n",
        'ErrorLog /proc/self/fd/2\nLogFormat "%h %l %u %t \\"%r\\" %>s %b" common\n',
    ]
)
HTTPD = """#!/bin/sh
exec /usr/sbin/apache2 -d /usr/local/apache2 -f conf/httpd.conf "$@"
"""
HTTPD_FOREGROUND = """#!/bin/sh
set -e
rm -f /usr/local/apache2/logs/httpd.pid
exec /usr/local/apache2/bin/httpd -DFOREGROUND "$@"
"""

RECIPES = {
    "busybox": Recipe(
        names=(
            *_tags("docker.io/library/busybox", "latest", "1", "1.24", "1.28", "1.28.4", "1.31", "1.35", "1.36"),
            *_tags("docker.io/library/busybox", "1.36.1", "1.37", "musl", "glibc", "stable"),
            *_tags("registry.k8s.io/busybox", "latest", "1.27.2"),
            *_tags("k8s.gcr.io/busybox", "latest", "1.24"),
        ),
        packages=("busybox-static",),
        command=("sh",),
        has_busybox=True,
    ),
    "nginx": Recipe(
        names=(
            *_tags("docker.io/library/nginx", "latest", "alpine", "stable", "stable-alpine", "mainline", "1", "1.7.9"),
            *_tags("docker.io/library/nginx", "1.14", "1.14.2", "1.16", "1.16.1", "1.17", "1.19", "1.20", "1.21"),
            *_tags("docker.io/library/nginx", "1.22", "1.23", "1.24", "1.25", "1.26", "1.27", "1.28", "1.29"),
            *_tags("k8s.gcr.io/nginx-slim", "0.8", "0.7"),
            *_tags("gcr.io/google_containers/nginx-slim", "0.8", "0.7"),
            *_tags("registry.k8s.io/nginx-slim", "0.8", "0.7", "0.21", "0.24", "0.26", "0.27"),
        ),
        packages=("nginx", *SHELL),
        command=("nginx", "-g", "daemon off;"),
        files={
            "/etc/nginx/nginx.conf": NGINX_CONF,
            "/etc/nginx/conf.d/default.conf": NGINX_DEFAULT,
            "/usr/share/nginx/html/index.html": NGINX_INDEX,
            "/var/cache/nginx/": "",
            "/var/lib/nginx/": "",
            "/var/log/nginx/": "",
        },
        links={"/var/log/nginx/access.log": "/dev/stdout", "/var/log/nginx/error.log": "/dev/stderr"},
        owners={"/var/cache/nginx/": 101},
        environment={"NGINX_VERSION": "1.22.1"},
        stop_signal="SIGQUIT",
        ports=("80/tcp",),
    ),
    "httpd": Recipe(
        names=_tags("docker.io/library/httpd", "latest", "2", "2.4", "2.4-alpine", "alpine"),
        packages=("apache2-bin", *SHELL),
        command=("httpd-foreground",),
        without=("libicu72", "liblua5.3-0", "libxml2"),
        files={
            "/usr/local/apache2/htdocs/index.html": "<html><body><h1>It works!</h1></body></html>\n",
            "/usr/local/apache2/conf/httpd.conf": HTTPD_CONF,
            "/usr/local/apache2/conf/mime.types": "text/html html htm\ntext/plain txt\ntext/css css\n"
            "application/javascript js\napplication/json json\nimage/png png\nimage/svg+xml svg\n",
            "/usr/local/apache2/logs/": "",
            "/usr/local/apache2/bin/httpd": HTTPD,
            "/usr/local/bin/httpd-foreground": HTTPD_FOREGROUND,
        },
        links={"/usr/local/apache2/modules": "/usr/lib/apache2/modules"},
        environment={
            "HTTPD_PREFIX": "/usr/local/apache2",
            "PATH": "/usr/local/apache2/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        },
        working_dir="/usr/local/apache2",
        stop_signal="SIGWINCH",
        ports=("80/tcp",),
    ),
    "redis": Recipe(
        names=_tags(
            "docker.io/library/redis", "latest", "alpine", "3", "5", "5.0.4", "6", "6-alpine", "6.2", "7", "7.0"
        ),
        packages=("redis-server", *SHELL),
        command=("redis-server", "--protected-mode", "no"),
        files={"/data/": ""},
        owners={"/data/": 999},
        working_dir="/data",
        ports=("6379/tcp",),
    ),
}
