"""What each image is made of: packages, files of its own, how it starts, the names it is known by.

A folder beside this file, laid out as in the image, has the files: entry points of our own that keep to what the
public images document (environment, data directories, ports, users, signals).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NOT_NEEDED = (
    # Package management, terminals and networking that only maintainer scripts or administrators use.
    "adduser",
    "base-files",
    "debconf",
    "debianutils",
    "dpkg",
    "gcc-*-base",
    "init-system-helpers",
    "iproute2",
    "libbpf1",
    "libcap2-bin",
    "libdb5.3*",
    "libelf1*",
    "libfile-find-rule-perl",
    "libgdbm*",
    "libmnl0",
    "libnumber-compare-perl",
    "libpam-modules*",
    "libperl*",
    "libsasl2-modules-db",
    "libsemanage*",
    "libsepol*",
    "libtext-glob-perl",
    "libtirpc*",
    "libxtables12",
    "lsb-base",
    "media-types",
    "passwd",
    "perl*",
    "sysvinit-utils",
    "usrmerge",
    "util-linux-extra",
)
"""Patterns of packages that others depend on and no image has."""


@dataclass(frozen=True)
class Contents:
    """One layer. Images with the same contents share it, in the cache and in the store."""

    packages: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Patterns of packages left out beside `NOT_NEEDED`: what needs them is not used here."""
    drop: tuple[str, ...] = ()
    """Patterns of paths that are left out."""
    files: str = ""
    """The folder of files of its own; a file is a program if it begins with `#!`."""
    links: Mapping[str, str] = field(default_factory=dict)
    directories: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Path to the uid and gid that own it, and its mode."""
    users: Mapping[str, int] = field(default_factory=dict)
    """Name to uid and gid, beside those that every image has."""
    programs: str = ""
    """A pattern of programs that get links in /usr/local/bin."""
    has_busybox: bool = False
    """Whether the applets of busybox get their links."""


BASE = Contents(
    packages=(
        *("bash", "coreutils", "curl", "dash", "findutils", "grep", "gzip", "hostname", "libc-bin", "mawk"),
        *("procps", "sed", "tar", "util-linux"),
    ),
    files="base",
    links={"/usr/bin/awk": "mawk"},
)
"""The lowest layer of all images but busybox: what the tutorials' `kubectl exec` calls, and entry points need."""


@dataclass(frozen=True)
class Recipe:
    names: tuple[str, ...]
    contents: Contents
    command: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()
    below: tuple[Contents, ...] = (BASE,)
    """Layers under its own, lowest first."""
    environment: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """Variable of the environment to a pattern of packages: it gets the version of the one that matches."""
    working_dir: str = ""
    stop_signal: str = ""
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


def _tags(name: str, *tags: str) -> tuple[str, ...]:
    return tuple(f"{name}:{tag}" for tag in tags)


ENTRYPOINT = ("docker-entrypoint.sh",)
SCRIPTS = "/docker-entrypoint-initdb.d"

BUSYBOX = Recipe(
    names=(
        *_tags("docker.io/library/busybox", "latest", "1", "1.24", "1.28", "1.28.4", "1.31", "1.35", "1.36"),
        *_tags("docker.io/library/busybox", "1.36.1", "1.37", "musl", "glibc", "stable"),
        *_tags("registry.k8s.io/busybox", "latest", "1.27.2"),
        *_tags("k8s.gcr.io/busybox", "latest", "1.24"),
    ),
    contents=Contents(packages=("busybox-static",), files="base", has_busybox=True),
    below=(),
    command=("sh",),
)

NGINX = Recipe(
    names=(
        *_tags("docker.io/library/nginx", "latest", "alpine", "stable", "stable-alpine", "mainline", "1", "1.7.9"),
        *_tags("docker.io/library/nginx", "1.14", "1.14.2", "1.16", "1.16.1", "1.17", "1.19", "1.20", "1.21"),
        *_tags("docker.io/library/nginx", "1.22", "1.23", "1.24", "1.25", "1.26", "1.27", "1.28", "1.29"),
        *_tags("k8s.gcr.io/nginx-slim", "0.8", "0.7"),
        *_tags("gcr.io/google_containers/nginx-slim", "0.8", "0.7"),
        *_tags("registry.k8s.io/nginx-slim", "0.8", "0.7", "0.21", "0.24", "0.26", "0.27"),
    ),
    contents=Contents(
        packages=("nginx",),
        files="nginx",
        directories={"/var/cache/nginx": (101, 0o755), "/var/lib/nginx": (0, 0o755), "/var/log/nginx": (0, 0o755)},
        links={"/var/log/nginx/access.log": "/dev/stdout", "/var/log/nginx/error.log": "/dev/stderr"},
        users={"nginx": 101},
    ),
    command=("nginx", "-g", "daemon off;"),
    versions={"NGINX_VERSION": "nginx"},
    stop_signal="SIGQUIT",
    ports=("80/tcp",),
)

HTTPD = Recipe(
    names=_tags("docker.io/library/httpd", "latest", "2", "2.4", "2.4-alpine", "alpine"),
    contents=Contents(
        packages=("apache2-bin",),
        without=("libaprutil1-*", "libicu*", "liblua*", "libsqlite3-*", "libxml2"),
        files="httpd",
        directories={"/usr/local/apache2/logs": (0, 0o755)},
        links={"/usr/local/apache2/modules": "/usr/lib/apache2/modules"},
    ),
    command=("httpd-foreground",),
    environment={
        "HTTPD_PREFIX": "/usr/local/apache2",
        "PATH": "/usr/local/apache2/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    },
    versions={"HTTPD_VERSION": "apache2-bin"},
    working_dir="/usr/local/apache2",
    stop_signal="SIGWINCH",
    ports=("80/tcp",),
)

REDIS = Recipe(
    names=_tags(
        "docker.io/library/redis",
        *("latest", "alpine", "3", "3.2", "4", "5", "5-alpine", "5.0.4", "6", "6-alpine", "6.2", "6.2-alpine"),
        *("7", "7-alpine", "7.0", "7.0-alpine", "7.2", "7.2-alpine", "7.4", "bookworm"),
    ),
    contents=Contents(
        packages=("redis-server",), files="redis", directories={"/data": (999, 0o755)}, users={"redis": 999}
    ),
    entrypoint=ENTRYPOINT,
    command=("redis-server",),
    versions={"REDIS_VERSION": "redis-server"},
    working_dir="/data",
    stop_signal="SIGTERM",
    ports=("6379/tcp",),
    volumes=("/data",),
)

POSTGRES = Recipe(
    names=_tags(
        "docker.io/library/postgres",
        *("latest", "alpine", "9.6", "10", "10.1", "10.4", "11", "12", "13", "14", "15", "16", "17"),
        *("12-alpine", "13-alpine", "14-alpine", "15-alpine", "16-alpine", "17-alpine", "bookworm", "15-bookworm"),
    ),
    contents=Contents(
        packages=("postgresql", "xz-utils", "zstd"),
        without=(
            *("postgresql", "postgresql-common*", "postgresql-client-common", "libllvm*", "libz3-*", "libjson-perl"),
            *("locales", "libc-l10n", "netbase", "openssl", "sensible-utils", "ssl-cert", "ucf"),
        ),
        # Without its library, the just-in-time compiler must look as if it were not installed.
        drop=("usr/lib/postgresql/*/lib/llvmjit*", "usr/lib/postgresql/*/lib/bitcode*"),
        files="postgres",
        directories={
            SCRIPTS: (0, 0o755),
            "/var/lib/postgresql": (999, 0o755),
            "/var/lib/postgresql/data": (999, 0o1777),
            "/run/postgresql": (999, 0o3777),
        },
        users={"postgres": 999},
        programs="usr/lib/postgresql/*/bin/*",
    ),
    entrypoint=ENTRYPOINT,
    command=("postgres",),
    environment={"LANG": "C.UTF-8", "PGDATA": "/var/lib/postgresql/data"},
    versions={"PG_VERSION": "postgresql-[0-9]*"},
    # Fast: sessions are ended rather than waited for.
    stop_signal="SIGINT",
    ports=("5432/tcp",),
    volumes=("/var/lib/postgresql/data",),
)

PATRONI = Recipe(
    names=_tags("docker.io/library/patroni", "latest", "3", "3.0", "3.0.2"),
    below=(BASE, POSTGRES.contents),
    contents=Contents(
        packages=("patroni", "postgresql"),
        without=(
            *POSTGRES.contents.without,
            # It brings its own client of Kubernetes; other stores of its state are not used here.
            *("python3-dnspython", "python3-etcd", "python3-pkg-resources"),
        ),
        files="patroni",
        directories={"/home/postgres": (999, 0o755)},
    ),
    entrypoint=ENTRYPOINT,
    command=("patroni", "/home/postgres/patroni.yml"),
    environment={
        "LANG": "C.UTF-8",
        "PATRONICTL_CONFIG_FILE": "/home/postgres/patroni.yml",
        "PYTHONUNBUFFERED": "1",
    },
    versions={"PATRONI_VERSION": "patroni", "PG_VERSION": "postgresql-[0-9]*"},
    stop_signal="SIGTERM",
    ports=("5432/tcp", "8008/tcp"),
    working_dir="/home/postgres",
)

MYSQL = Recipe(
    names=(
        *_tags("docker.io/library/mysql", "latest", "5.5", "5.6", "5.7", "8", "8.0", "8.0.33", "8.4", "9", "lts"),
        *_tags("docker.io/library/mariadb", "latest", "lts", "10", "10.5", "10.6", "10.11", "11", "11.4"),
    ),
    contents=Contents(
        packages=("mariadb-server-core", "mariadb-client", "xz-utils", "zstd"),
        without=("libconfig-inifiles-perl", "libdbi-perl", "libdbd-mariadb-perl", "libterm-readkey-perl"),
        files="mysql",
        directories={
            SCRIPTS: (0, 0o755),
            "/etc/mysql/conf.d": (0, 0o755),
            "/var/lib/mysql": (999, 0o1777),
            "/run/mysqld": (999, 0o1777),
        },
        links={"/etc/mysql/my.cnf": "mariadb.cnf"},
        users={"mysql": 999},
    ),
    entrypoint=ENTRYPOINT,
    command=("mysqld",),
    environment={"LANG": "C.UTF-8"},
    versions={"MARIADB_VERSION": "mariadb-server-core"},
    stop_signal="SIGTERM",
    ports=("3306/tcp",),
    volumes=("/var/lib/mysql",),
)

OPENSHIFT_MYSQL = Recipe(
    names=("docker.io/openshift/mysql-55-centos7:latest", "docker.io/centos/mysql-57-centos7:latest"),
    contents=MYSQL.contents,
    entrypoint=MYSQL.entrypoint,
    # This one keeps its data a folder below.
    command=("mysqld", "--datadir=/var/lib/mysql/data"),
    environment=MYSQL.environment,
    stop_signal=MYSQL.stop_signal,
    ports=MYSQL.ports,
    volumes=("/var/lib/mysql/data",),
)

TOOLS = Recipe(
    names=(
        *_tags("quay.io/mhausenblas/jump", "0.1", "0.2", "latest"),
        *_tags("docker.io/nicolaka/netshoot", "latest"),
        *_tags("docker.io/tutum/dnsutils", "latest"),
        *_tags("registry.k8s.io/e2e-test-images/jessie-dnsutils", "1.3", "1.5", "1.7"),
    ),
    contents=Contents(
        packages=("bind9-dnsutils", "iputils-ping", "jq", "netcat-openbsd", "wget"),
        links={"/usr/bin/nc": "nc.openbsd"},
    ),
    command=("sh",),
)

CURL = Recipe(
    names=_tags("docker.io/curlimages/curl", "latest", "7.88.1", "8.5.0", "8.10.1", "8.11.0"),
    contents=Contents(files="curl"),
    entrypoint=ENTRYPOINT,
    command=("curl",),
)

MEHDB = Recipe(
    names=_tags("quay.io/mhausenblas/mehdb", "0.5", "0.6", "latest"),
    contents=Contents(
        packages=("python3-minimal", "libpython3-stdlib"),
        without=("libncurses*", "libsqlite3-*", "media-types", "readline-common", "tzdata"),
        files="mehdb",
    ),
    command=("mehdb",),
    environment={"PYTHONUNBUFFERED": "1"},
    stop_signal="SIGTERM",
    ports=("9876/tcp",),
)

NFS_SERVER = Recipe(
    names=(
        *_tags("registry.k8s.io/volume-nfs", "0.8"),
        *_tags("k8s.gcr.io/volume-nfs", "0.8"),
        *_tags("gcr.io/google_containers/volume-nfs", "0.8"),
        *_tags("docker.io/itsthenetwork/nfs-server-alpine", "latest", "11", "12"),
    ),
    contents=Contents(
        packages=("nfs-ganesha-vfs",),
        without=(
            *(
                "dbus",
                "dbus-*",
                "nfs-common",
                "rpcbind",
                "libldap-*",
                "libsasl2-*",
                "libicu*",
                "libsqlite3-*",
                "python3*",
            ),
            *("libapparmor1", "libexpat1", "libnfsidmap-*"),
        ),
        files="nfs-server",
        links={"/etc/mtab": "/proc/self/mounts"},
        directories={"/exports": (0, 0o755), "/var/lib/nfs/ganesha": (0, 0o755)},
    ),
    command=("nfs-server",),
    stop_signal="SIGTERM",
    ports=("2049/tcp",),
)

RECIPES = {
    "busybox": BUSYBOX,
    "curl": CURL,
    "httpd": HTTPD,
    "mehdb": MEHDB,
    "mysql": MYSQL,
    "mysql-openshift": OPENSHIFT_MYSQL,
    "nfs-server": NFS_SERVER,
    "nginx": NGINX,
    "patroni": PATRONI,
    "postgres": POSTGRES,
    "redis": REDIS,
    "tools": TOOLS,
}
