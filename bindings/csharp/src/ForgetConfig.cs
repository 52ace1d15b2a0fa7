namespace Lethe
{
    /* Its text forms; the fields are written by write_types.py. */
    public sealed partial class ForgetConfig
    {
        /// <summary>The library's defaults for a method and a head: losses scale with the head, so
        /// they differ.</summary>
        /// <param name="method">The method of forgetting.</param>
        /// <param name="head">The kind of the model's last layer.</param>
        /// <exception cref="LetheException"><see cref="Status.Unsupported"/>: unknown method or
        /// head.</exception>
        public ForgetConfig(Method method = Method.GsLoraPp, Head head = Head.Linear)
        {
            Library.Ensure();
            using (var native = new NativeForgetConfig())
            {
                Native.forget_config_init(native, (int)method, (int)head);
                Read(native);
            }
        }

        /// <summary>The defaults, overwritten by a JSON object.</summary>
        /// <param name="json">As for <see cref="Apply"/>.</param>
        /// <param name="method">The method of forgetting.</param>
        /// <param name="head">The kind of the model's last layer.</param>
        /// <returns>New settings.</returns>
        /// <exception cref="LetheException">As <see cref="Apply"/>.</exception>
        public static ForgetConfig FromJson(string json, Method method = Method.GsLoraPp,
            Head head = Head.Linear)
        {
            var config = new ForgetConfig(method, head);
            config.Apply(json);
            return config;
        }

        /// <summary>Overwrites the fields named in a JSON object, for example
        /// {"rank":4,"structure_weight":0.004}; names are those of C, enumerations lower-case words
        /// ("gs-lora++", "block", "proximal").</summary>
        /// <param name="json">A JSON object.</param>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: unknown field,
        /// wrong type, out of range; nothing is then changed. <see cref="Status.Corrupt"/>: not
        /// JSON.</exception>
        public void Apply(string json)
        {
            byte[] text = Text.Required(json, nameof(json));
            using (NativeForgetConfig native = ToNative())
            {
                Native.forget_config_from_json(text, native);
                Read(native);
            }
        }

        /// <summary>All settings as canonical JSON: sorted keys, equal settings give equal
        /// text.</summary>
        /// <returns>JSON.</returns>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: a field is out of
        /// range.</exception>
        public string ToJson()
        {
            using (NativeForgetConfig native = ToNative())
            {
                Native.forget_config_to_json(native, out BufferHandle json);
                return json.TakeText();
            }
        }

        /// <summary>Checks every field.</summary>
        /// <returns>A JSON list of {field, value, allowed}; "[]" when all is well.</returns>
        public string Validate()
        {
            BufferHandle findings = null;
            using (NativeForgetConfig native = ToNative())
            {
                try
                {
                    Native.forget_config_validate(native, out findings);
                }
                catch (LetheException e) when (e.Status == Status.InvalidArgument
                                               && findings != null && !findings.IsInvalid)
                {
                    /* The findings are the answer. */
                }
                return findings.TakeText();
            }
        }
    }
}
