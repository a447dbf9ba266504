# An image that holds the extension alone, for servers that mount it and find it by extension_control_path, as from
# PostgreSQL 18 on. It is made from the Debian package:
#
#   make package MAJORS=18
#   docker build --build-arg PG_MAJOR=18 -f packaging/extension.Dockerfile target/package
#
# Where it is mounted at /extensions/backup_codes the server is set so:
#
#   extension_control_path = '/extensions/backup_codes/share:$system'
#   dynamic_library_path = '/extensions/backup_codes/lib:$libdir'
FROM debian:bookworm-slim AS unpacked
ARG PG_MAJOR=18
RUN --mount=type=bind,target=/packages \
    dpkg-deb --extract "/packages/postgresql-${PG_MAJOR}"-backup-codes_*_"$(dpkg --print-architecture)".deb /package \
    && mkdir /image \
    && mv "/package/usr/lib/postgresql/${PG_MAJOR}/lib" "/package/usr/share/postgresql/${PG_MAJOR}" /image/ \
    && mv "/image/${PG_MAJOR}" /image/share \
    && mv "/package/usr/share/doc/postgresql-${PG_MAJOR}-backup-codes" /image/doc

FROM scratch
COPY --from=unpacked /image/ /
