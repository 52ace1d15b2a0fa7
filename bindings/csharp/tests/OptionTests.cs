using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Reflection;
using System.Text.RegularExpressions;

namespace Lethe.Tests
{
    /* Options are born with the library's defaults, and nothing is lost on the way. */
    static class OptionTests
    {
        static string NameInC(string name)
        {
            return Regex.Replace(name, "(?<!^)([A-Z])", "_$1").ToLowerInvariant();
        }

        /* Every field of every pair of method and head, as the library itself writes it. */
        public static void ForgetDefaultsAreTheLibrarys()
        {
            foreach (Method method in Enum.GetValues(typeof(Method)))
            {
                foreach (Head head in Enum.GetValues(typeof(Head)))
                {
                    var config = new ForgetConfig(method, head);
                    Assert.Equal("[]", config.Validate());
                    Dictionary<string, string> json = Fields(config.ToJson());
                    PropertyInfo[] properties = typeof(ForgetConfig).GetProperties();
                    Assert.Equal(properties.Length, json.Count);
                    foreach (PropertyInfo property in properties)
                    {
                        object value = property.GetValue(config);
                        string said = json[NameInC(property.Name)];
                        if (value is Enum && !(value is Fast) && !(value is Audits))
                        {
                            said = said.Trim('"').Replace("++", "pp");
                            Assert.Equal(value.ToString().ToLowerInvariant(),
                                said.Replace("-", "").Replace("_", ""));
                            continue;
                        }
                        if (value is bool flag)
                        {
                            Assert.Equal(flag ? "true" : "false", said);
                            continue;
                        }
                        Assert.Equal(Convert.ToDouble(value, CultureInfo.InvariantCulture),
                            double.Parse(said, CultureInfo.InvariantCulture));
                    }
                }
            }
            Assert.Equal(15.0, new ForgetConfig().ForgetBound);
            Assert.Equal(105.0, new ForgetConfig(Method.GsLora, Head.Cosface).ForgetBound);
            Assert.Equal(0.0, new ForgetConfig(Method.GsLora).PrototypeForgetWeight);
            Assert.Equal(Fast.All, new ForgetConfig().Fast);
            Assert.Equal(3.0, new ForgetConfig(Method.Ewc).PenaltyWeight);
            Assert.Equal(10.0, new ForgetConfig(Method.Ewc, Head.Cosface).PenaltyWeight);
            Assert.Equal(10.0, new ForgetConfig(Method.Lirf).Temperature);
            Assert.Equal(Audits.Membership, new ForgetConfig(Method.Retrain).Audits);
            Assert.Equal(Form.Corrected, new ForgetConfig(Method.Lwf).Form);
            Assert.Equal(0.1, new ForgetConfig(Method.GsLora, Head.Detection).GradientClip);
            Assert.Equal(Audits.None, new ForgetConfig(Method.GsLora, Head.Detection).Audits);
        }

        public static void LaterForgetFieldsCrossBothWays()
        {
            var config = new ForgetConfig(Method.DerPp)
            {
                Form = Form.Reference, LoraPosition = LoraPosition.Attention, FirstBlock = 1,
                StructureSearch = StructureSearch.Sparsest, Audits = Audits.Probe | Audits.Relearning,
                PenaltyWeight = 1.5, DistillationWeight = 2.5, ReplayWeight = 3.5, Temperature = 4.5,
                Smoothing = 5.5, GradientClip = 6.5, Augment = true, PrototypeSource = PrototypeSource.RandomNetwork
            };
            string json = config.ToJson();
            Assert.Contains(json, "\"method\":\"der++\"", "\"form\":\"reference\"",
                "\"lora_position\":\"attention\"", "\"first_block\":1",
                "\"structure_search\":\"sparsest\"", "\"audits\":12", "\"penalty_weight\":1.5",
                "\"distillation_weight\":2.5", "\"replay_weight\":3.5", "\"temperature\":4.5",
                "\"smoothing\":5.5", "\"gradient_clip\":6.5", "\"augment\":true",
                "\"prototype_source\":\"random-network\"");
            ForgetConfig again = ForgetConfig.FromJson(json);
            foreach (PropertyInfo property in typeof(ForgetConfig).GetProperties())
            {
                Assert.Equal(property.GetValue(config), property.GetValue(again));
            }
            config.Audits = Audits.None;
            Assert.Contains(config.ToJson(), "\"audits\":0");
            config.Audits = (Audits)32;
            Assert.Contains(config.Validate(), "\"field\":\"audits\"");
        }

        public static void ForgetFieldsCrossBothWays()
        {
            const string json = "{\"rank\":4,\"structure_weight\":0.004,\"sparsity\":\"proximal\","
                + "\"grouping\":\"matrix\",\"seed\":-9007199254740993,\"fast\":5,\"dropout\":0.25}";
            ForgetConfig config = ForgetConfig.FromJson(json);
            Assert.Equal(4, config.Rank);
            Assert.Equal(0.004, config.StructureWeight);
            Assert.Equal(Sparsity.Proximal, config.Sparsity);
            Assert.Equal(Grouping.Matrix, config.Grouping);
            Assert.Equal(-9007199254740993L, config.Seed);
            Assert.Equal(Fast.OnePass | Fast.PrefixCache, config.Fast);
            Assert.Equal(0.25, config.Dropout);
            Assert.Equal(config.ToJson(), ForgetConfig.FromJson(config.ToJson()).ToJson());

            string before = config.ToJson();
            Assert.Fails(Status.InvalidArgument, "rank",
                () => config.Apply("{\"epochs\":2,\"rank\":0}"));
            Assert.Fails(Status.InvalidArgument, "colour", () => config.Apply("{\"colour\":2}"));
            Assert.Equal(before, config.ToJson());
            config.Rank = 0;
            config.DataRatio = 2;
            Assert.Contains(config.Validate(), "\"field\":\"rank\"", "\"field\":\"data_ratio\"");
        }

        public static void OtherDefaultsAreTheLibrarys()
        {
            var pretrain = new PretrainConfig();
            Assert.Equal(30, pretrain.Epochs);
            Assert.Equal(128, pretrain.Batch);
            Assert.Equal(1e-3, pretrain.LearningRate);
            Assert.True(pretrain.Dropout < 0, "dropout");
            Assert.Equal(1337L, pretrain.Seed);
            Assert.Equal(false, pretrain.Flip);
            var limits = new Limits();
            Assert.Equal(16384, limits.MaxTensors);
            Assert.Equal(2L << 30, limits.MaxFileBytes);
            Assert.Equal(1000L, limits.MaxExpansion);
            var export = new ExportOptions();
            Assert.Equal(Dtype.F32, export.Dtype);
            Assert.Equal(3, export.Level);
            Assert.Equal(Naming.Original, export.Naming);
            var task = new TaskOptions();
            Assert.Equal(0, task.Priority);
            Assert.True(task.Deadline == null, "deadline");
            var engine = new EngineOptions();
            Assert.True(engine.EventCapacity == null && engine.CheckpointSeconds == null,
                "the library's");
        }

        public static void MethodsAreDescribed()
        {
            string info = LetheRuntime.MethodInfoJson();
            foreach (PropertyInfo property in typeof(ForgetConfig).GetProperties())
            {
                Assert.Contains(info, "\"" + NameInC(property.Name) + "\"");
            }
            foreach (Method method in Enum.GetValues(typeof(Method)))
            {
                Assert.Contains(info, "\"number\":" + (int)method + "}");
            }
        }

        static Dictionary<string, string> Fields(string json)
        {
            return Regex.Matches(json, "\"(\\w+)\":(\"[^\"]*\"|[^,}]+)").Cast<Match>()
                .ToDictionary(match => match.Groups[1].Value, match => match.Groups[2].Value);
        }
    }
}
