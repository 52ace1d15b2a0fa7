using System;

namespace Lethe
{
    /// <summary>The signed records of ended tasks, see <see cref="Engine.Receipts"/>.</summary>
    /// <remarks>A receipt is one line of canonical JSON: {"key":"hex","receipt":{..., "number":1,
    /// "previous":"hex"},"signature":"hex"}. The signature is Ed25519 over the bytes of "receipt",
    /// previous the SHA-256 of the line before. It holds no image and outlives adapter and data. It
    /// proves what was done to the weights, not that nobody else has a copy.</remarks>
    public static class Receipts
    {
        /// <summary>Checks a chain of receipts: the form, every signature, every link. Cut-off ends
        /// cannot be seen: compare the count, or keep the newest digest elsewhere.</summary>
        /// <param name="lines">As <see cref="Engine.Receipts"/> gives them.</param>
        /// <param name="publicKey">32 bytes that all must be signed with; null: each with the key
        /// it names, which shows only that nothing was changed afterwards.</param>
        /// <returns>JSON: {"ok", "receipts": how many, "first_break": null}.</returns>
        /// <exception cref="LetheException"><see cref="Status.Corrupt"/>: the chain is broken; <see
        /// cref="LetheException.Findings"/> has the JSON, in which first_break is {"line",
        /// "request_id", "reason"}.</exception>
        public static unsafe string Verify(byte[] lines, byte[] publicKey = null)
        {
            Library.Ensure();
            Check.NotNull(lines, nameof(lines));
            Check.Key(publicKey, nameof(publicKey));
            BufferHandle findings = null;
            byte[] chain = lines.Length > 0 ? lines : new byte[1]; /* none is a chain too */
            fixed (byte* data = chain)
            fixed (byte* key = publicKey)
            {
                try
                {
                    Native.receipts_verify(data, lines.Length, key, key == null ? 0 : 32,
                        out findings);
                }
                catch (LetheException e) when (findings != null && !findings.IsInvalid)
                {
                    throw new LetheException(e.Status, e.Message, findings.TakeText());
                }
                return findings.TakeText();
            }
        }

        /// <summary>The same for text.</summary>
        /// <param name="lines">As <see cref="Engine.Receipts"/> gives them.</param>
        /// <param name="publicKey">32 bytes, or null.</param>
        /// <returns>As <see cref="Verify(byte[], byte[])"/>.</returns>
        /// <exception cref="LetheException">As <see cref="Verify(byte[], byte[])"/>.</exception>
        public static string Verify(string lines, byte[] publicKey = null)
        {
            return Verify(System.Text.Encoding.UTF8.GetBytes(Check.NotNull(lines, nameof(lines))),
                publicKey);
        }
    }

    /// <summary>What an engine's folder holds, without opening an engine; also while one works on
    /// it, in this process or another.</summary>
    public static class Journal
    {
        /// <summary>Jobs, adapters and who has the folder open, as JSON: {"schema", "base",
        /// "holder_pid", "jobs", "adapters", "receipts"}. Times are UTC, milliseconds since 1970,
        /// or null.</summary>
        /// <param name="folder">As given to <see cref="EngineOptions.Folder"/>.</param>
        /// <returns>JSON.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: no journal there; <see
        /// cref="Status.Corrupt"/>, <see cref="Status.Version"/>, <see
        /// cref="Status.Io"/>.</exception>
        public static string InfoJson(string folder)
        {
            Library.Ensure();
            Native.journal_info_json(Text.Required(folder, nameof(folder)), out BufferHandle json);
            return json.TakeText();
        }

        /// <summary>The receipts in a folder, as <see cref="Engine.Receipts"/>.</summary>
        /// <param name="folder">As given to <see cref="EngineOptions.Folder"/>.</param>
        /// <returns>Lines, each ended by a newline.</returns>
        /// <exception cref="LetheException">As <see cref="InfoJson"/>.</exception>
        public static string Receipts(string folder)
        {
            Library.Ensure();
            Native.journal_receipts(Text.Required(folder, nameof(folder)), out BufferHandle lines);
            return lines.TakeText();
        }
    }
}
