# Beam's job server for Flink 1.19, from the archives that pom.xml names.
# Build it in the root of the repository:
#   docker build -f infra/flink/job-server.Dockerfile -t millstream-job-server .
FROM maven:3.9-eclipse-temurin-17 AS jars
COPY infra/flink/pom.xml /pom/pom.xml
RUN mvn --batch-mode --file /pom/pom.xml dependency:copy-dependencies -DoutputDirectory=/jars

FROM eclipse-temurin:17-jre
COPY --from=jars /jars /opt/job-server
RUN useradd --uid 9999 flink
USER flink
EXPOSE 8099 8098
ENTRYPOINT ["java", "-Xmx512m", "-cp", "/opt/job-server/*", "org.apache.beam.runners.flink.FlinkJobServerDriver"]
CMD ["--flink-master=flink-job-manager:8081", "--job-host=0.0.0.0", "--job-port=8099", "--artifact-port=8098", "--expansion-port=0"]
