# PostgreSQL's official image with the extension in it, made from the Debian package:
#
#   make package MAJORS=18
#   docker build --build-arg PG_MAJOR=18 -f packaging/postgres.Dockerfile target/package
ARG PG_MAJOR=18
FROM postgres:${PG_MAJOR}-bookworm
RUN --mount=type=bind,target=/packages \
    dpkg --install "/packages/postgresql-${PG_MAJOR}"-backup-codes_*_"$(dpkg --print-architecture)".deb
