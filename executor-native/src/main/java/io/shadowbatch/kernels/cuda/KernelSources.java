package io.shadowbatch.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.JarURLConnection;
import java.net.URISyntaxException;
import java.net.URL;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.jar.JarFile;
import java.util.stream.Stream;

/** The text of the kernels, which every jar has in its folder {@code cuda}. */
final class KernelSources {
  private static final String FOLDER = "/cuda/";
  private static final String HEADER = "device.h";

  private KernelSources() {}

  /** A file's name, without folder, and its text. */
  record Source(String name, String text) {}

  /** Those that are compiled, in the order of their names; none if the jar has none. */
  static List<Source> kernels() {
    return read(".cu");
  }

  /** Those that kernels include. */
  static List<Source> headers() {
    return read(".h");
  }

  /** Of one file with all headers: changes when a compiler would have another result. */
  static String hash(Source kernel, List<Source> headers) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (Source header : headers) digest.update(header.text().getBytes(StandardCharsets.UTF_8));
      digest.update(kernel.text().getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest.digest(), 0, 12);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("this Java has no SHA-256", e);
    }
  }

  private static List<Source> read(String ending) {
    URL header = KernelSources.class.getResource(FOLDER + HEADER);
    if (header == null) return List.of();
    try {
      return names(header).stream()
          .filter(n -> n.endsWith(ending))
          .sorted()
          .map(n -> of(n))
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot list " + header, e);
    }
  }

  private static List<String> names(URL header) throws IOException {
    URLConnection connection = header.openConnection();
    if (connection instanceof JarURLConnection jar) {
      jar.setUseCaches(false);
      try (JarFile file = jar.getJarFile()) {
        return file.stream()
            .map(e -> "/" + e.getName())
            .filter(n -> n.startsWith(FOLDER))
            .map(n -> n.substring(FOLDER.length()))
            .toList();
      }
    }
    try (Stream<Path> files = Files.list(Path.of(header.toURI()).getParent())) {
      return files.map(f -> f.getFileName().toString()).toList();
    } catch (URISyntaxException e) {
      throw new IOException(e);
    }
  }

  private static Source of(String name) {
    try (InputStream in = KernelSources.class.getResourceAsStream(FOLDER + name)) {
      return new Source(name, new String(in.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read " + FOLDER + name, e);
    }
  }
}
