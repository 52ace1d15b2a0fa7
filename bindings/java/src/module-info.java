/** Vision models that forget: see {@link io.lethe}. */
module io.lethe {
  exports io.lethe;
}
